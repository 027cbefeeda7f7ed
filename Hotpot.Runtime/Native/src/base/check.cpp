#include <cstdlib>

#include "base/types.h"

namespace hotpot {
void Fail(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "hotpot: internal error: %s does not hold (%s:%d); please report it.\n", expression, file, line);
  std::abort();
}
}  // namespace hotpot
