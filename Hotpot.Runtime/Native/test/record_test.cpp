// The commit record: its bytes as documented, and that nothing but a record parses.
#include "engine/record.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

namespace hotpot {
namespace {

constexpr uint32_t kChunks = 16, kPages = 1024;

CollectedPage PageOf(uint32_t page, uint64_t version, std::vector<Run> runs, std::vector<std::byte> bytes) {
  return {page, version, std::move(runs), std::move(bytes)};
}

MessageBody Documented() {
  std::vector<CollectedPage> pages{PageOf(5, 9, {{8, 4}}, {std::byte{0xde}, std::byte{0xad}, std::byte{0xbe}, std::byte{0xef}})};
  TxKey key{{0x0b, (uint64_t{1} << 40) | 3}, DatasetId(7), NodeId(0x0a)};
  return BuildRecord(key, kRecordFromView, {{7, 2, 0}}, {{ChunkIndex(2), Epoch(1), &pages}});
}

// The bytes of the first ```hex block of the page.
std::vector<std::byte> HexOf(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::byte> out;
  std::string line;
  bool inside = false;
  while (std::getline(file, line)) {
    if (line.starts_with("```")) {
      if (inside) break;
      inside = line == "```hex";
      continue;
    }
    if (!inside) continue;
    std::istringstream words(line.substr(0, line.find('|')));
    for (std::string word; words >> word;) out.push_back(static_cast<std::byte>(std::stoi(word, nullptr, 16)));
  }
  return out;
}

TEST(Record, HasTheBytesThatTheDocumentShows) {
  std::vector<std::byte> documented = HexOf(std::filesystem::path(__FILE__).parent_path() / "../../../docs/engine-messages.md");
  ASSERT_FALSE(documented.empty());
  EXPECT_EQ(Documented(), documented);
}

TEST(Record, ParsesWhatItBuilds) {
  Record r;
  ASSERT_TRUE(Record::Parse(Documented(), kChunks, kPages, &r));
  EXPECT_EQ(r.key().owner, NodeId(0x0a));
  ASSERT_EQ(r.parts().size(), 1u);
  EXPECT_TRUE(r.single_participant());
  r.SetSequence(0, Sequence(42));
  Record again;
  ASSERT_TRUE(Record::Parse(r.Only([](const ParsedPart&) { return true; }), kChunks, kPages, &again));
  EXPECT_EQ(again.parts()[0].sequence, Sequence(42));
  std::byte page[kPageSize]{};
  ApplyRuns(page, again.parts()[0].pages[0].runs, again.parts()[0].pages[0].bytes);
  EXPECT_EQ(page[8], std::byte{0xde});
  EXPECT_EQ(page[12], std::byte{0});
}

TEST(Record, EveryTruncationIsRefused) {
  MessageBody whole = Documented();
  for (size_t n = 0; n < whole.size(); n++) {
    Record r;
    EXPECT_FALSE(Record::Parse(MessageBody(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n)), kChunks, kPages, &r)) << n;
  }
  whole.push_back(std::byte{0});
  Record r;
  EXPECT_FALSE(Record::Parse(std::move(whole), kChunks, kPages, &r)) << "a byte too many";
}

TEST(Record, DamagedOnesNeverReachBeyondTheirPages) {
  std::mt19937_64 random(3);
  int parsed = 0;
  for (int i = 0; i < 200000; i++) {
    MessageBody bytes = Documented();
    for (uint64_t k = 0; k <= random() % 3; k++) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    Record r;
    if (!Record::Parse(std::move(bytes), kChunks, kPages, &r)) continue;
    parsed++;
    for (const ParsedPart& part : r.parts()) {
      ASSERT_LT(part.chunk.value, kChunks);
      for (const ParsedPage& page : part.pages) {
        ASSERT_LT(page.page, kPages);
        size_t total = 0;
        for (const hotpot::Run& run : page.runs) {
          ASSERT_LE(size_t{run.offset} + run.length, kPageSize);
          total += run.length;
        }
        ASSERT_EQ(total, page.bytes.size());
      }
    }
  }
  EXPECT_GT(parsed, 0) << "the damage was always fatal: the test shows nothing";
}

TEST(Record, APartThatNoParticipantNamesIsRefused) {
  std::vector<CollectedPage> pages{PageOf(5, 9, {{8, 1}}, {std::byte{1}})};
  TxKey key{{1, 1}, DatasetId(7), NodeId(2)};
  Record r;
  EXPECT_FALSE(Record::Parse(BuildRecord(key, 0, {{7, 3, 0}}, {{ChunkIndex(2), Epoch(1), &pages}}), kChunks, kPages, &r));
}

}  // namespace
}  // namespace hotpot
