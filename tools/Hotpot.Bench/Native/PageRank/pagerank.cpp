// The peer of the benchmark `pagerank`: what one writes in C++ when there is one machine and one thread. It is the pull form of the GAP benchmark's
// PageRank, Jacobi and in single precision: first every vertex's contribution, then for every vertex the sum of its sources' contributions and the change against the
// step before. The graph is the CSR that the other side reads, in the same order, so both gain alike from the order of its vertices; the contributions lie on
// huge pages, as they do there.

#include <sys/mman.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr float kDamping = 0.85f;
constexpr std::size_t kHugePage = 2u << 20;

float *Allocate(std::uint32_t count) {
  const std::size_t bytes = (count * sizeof(float) / kHugePage + 1) * kHugePage;
  void *memory = std::aligned_alloc(kHugePage, bytes);
  // Without huge pages it works on small ones.
  if (memory != nullptr) (void)madvise(memory, bytes, MADV_HUGEPAGE);
  return static_cast<float *>(memory);
}

struct PageRank {
  const std::uint32_t *row_start;
  const std::uint32_t *source;
  const std::uint32_t *out_degree;
  std::uint32_t rows;
  float everybody;
  float *scores;
  float *contributions;
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

/// `vertices` counts those without edges too, `rows` only the others. Null when there is no memory.
EXPORT PageRank *hotpot_pagerank_create(const std::uint32_t *row_start, const std::uint32_t *source,
                                        const std::uint32_t *out_degree, std::uint32_t rows, std::uint32_t vertices) {
  auto *rank = new PageRank{row_start, source, out_degree, rows, (1 - kDamping) / static_cast<float>(vertices),
                            Allocate(rows), Allocate(rows)};
  if (rank->scores == nullptr || rank->contributions == nullptr) {
    std::free(rank->scores);
    std::free(rank->contributions);
    delete rank;
    return nullptr;
  }
  return rank;
}

EXPORT void hotpot_pagerank_start(PageRank *rank, std::uint32_t vertices) {
  for (std::uint32_t row = 0; row < rank->rows; row++) rank->scores[row] = 1.0f / static_cast<float>(vertices);
}

/// One step; returns the sum of all changes.
EXPORT double hotpot_pagerank_step(PageRank *rank) {
  float *scores = rank->scores;
  float *contributions = rank->contributions;
  const std::uint32_t *row_start = rank->row_start;
  const std::uint32_t *source = rank->source;
  const std::uint32_t rows = rank->rows;
  for (std::uint32_t row = 0; row < rows; row++)
    contributions[row] = scores[row] / static_cast<float>(rank->out_degree[row]);
  double change = 0;
  for (std::uint32_t row = 0; row < rows; row++) {
    float incoming = 0;
    for (std::uint32_t edge = row_start[row]; edge < row_start[row + 1]; edge++) incoming += contributions[source[edge]];
    const float old = scores[row];
    scores[row] = rank->everybody + kDamping * incoming;
    change += std::fabs(scores[row] - old);
  }
  return change;
}

EXPORT const float *hotpot_pagerank_scores(const PageRank *rank) { return rank->scores; }

EXPORT void hotpot_pagerank_destroy(PageRank *rank) {
  std::free(rank->scores);
  std::free(rank->contributions);
  delete rank;
}
