#include "core/memory/problem.h"

#include <algorithm>
#include <numeric>

namespace graphopt {
namespace {

std::int64_t round_up(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }

// The live ranges as intervals of sections. Walking through the ends of live ranges in order, a section is
// complete wherever a buffer ends after one has started since the last section.
int find_sections(const Buffers& buffers, std::vector<Item>& items) {
  struct Event {
    std::int64_t time;
    bool starts;
    int buffer;
  };
  std::vector<Event> events;
  events.reserve(2 * items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    events.push_back({buffers.lower[i], true, static_cast<int>(i)});
    events.push_back({buffers.upper[i], false, static_cast<int>(i)});
  }
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return a.time != b.time ? a.time < b.time : a.starts < b.starts;  // half open: ends come first
  });
  int sections = 0;
  bool open = false;
  for (const Event& event : events) {
    if (event.starts) {
      items[event.buffer].first = sections;
      open = true;
    } else {
      sections += open;
      open = false;
      items[event.buffer].last = sections;
    }
  }
  return sections;
}

}  // namespace

Problem::Problem(const Buffers& buffers) : items(buffers.count()) {
  std::int64_t shared = 0, sizes = 0, coarsest = 1;
  for (std::int64_t alignment : buffers.alignment) shared = std::gcd(shared, alignment);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::int64_t padded = round_up(buffers.size[i], shared);
    items[i] = {0, 0, padded, buffers.size[i], buffers.alignment[i], buffers.fixed[i]};
    sizes = std::gcd(sizes, padded);
    if (buffers.fixed[i] >= 0) {
      sizes = std::gcd(sizes, buffers.fixed[i]);
      uniform = false;
    }
    coarsest = std::max(coarsest, buffers.alignment[i]);
  }
  unit = std::max<std::int64_t>(sizes, 1);
  for (std::int64_t alignment : buffers.alignment) {
    if (unit % alignment != 0) unit = std::gcd(unit, alignment);
  }
  for (Item& item : items) {
    item.size /= unit;
    item.alignment = std::max<std::int64_t>(item.alignment / unit, 1);
    if (item.fixed >= 0) item.fixed /= unit;
    uniform = uniform && item.alignment == 1;
  }
  sections = find_sections(buffers, items);
}

}  // namespace graphopt
