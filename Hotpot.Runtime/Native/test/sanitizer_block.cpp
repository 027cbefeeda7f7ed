// A library with thread-local storage of its own, opened by sanitizer_test.cpp: 40 bytes, as the small ones of the libraries of UCX and OpenSSL are.

namespace {

thread_local char block[40];

}  // namespace

extern "C" __attribute__((visibility("default"))) char* sanitizer_block() { return block; }
