// A panel of a product in tiles. Included by each tier in its own namespace.

static inline int32_t four(const uint8_t* from) {
  int32_t all;
  __builtin_memcpy(&all, from, 4);
  return all;
}

// 1 to 3 codes, and 0 for those behind.
static inline int32_t fewer(const uint8_t* from, int64_t count) {
  uint32_t all = 0;
  for (int64_t i = 0; i < count; ++i) all |= static_cast<uint32_t>(from[i]) << (8 * i);
  return static_cast<int32_t>(all);
}

static inline const uint8_t* part_of(const GemmTile& tile, int64_t segment, int64_t row) {
  if (tile.rows == nullptr) return tile.x + row * tile.x_pitch;
  return tile.rows[segment * tile.stride + row] + segment * tile.step;
}

static inline void next_rows(GemmTile& tile, int rows) {
  if (tile.rows != nullptr) {
    tile.rows += rows;
  } else {
    tile.x += rows * tile.x_pitch;
  }
  if (tile.sums != nullptr) tile.sums += rows;
  if (tile.other != nullptr) tile.other += rows * tile.other_pitch;
  if (tile.out.type == Type::kF32) {
    tile.to = static_cast<float*>(tile.to) + rows * tile.pitch;
  } else {
    tile.to = static_cast<uint8_t*>(tile.to) + rows * tile.pitch;
  }
}

// Tiles of at most so many rows, of even heights: a low one at the end would keep few sums at work.
template <typename TileOf>
static inline void even_tiles(GemmTile tile, int most, const TileOf& tile_of) {
  int left = tile.count;
  for (int tiles = (left + most - 1) / most; tiles > 0; --tiles) {
    tile.count = (left + tiles - 1) / tiles;
    tile_of(tile);
    next_rows(tile, tile.count);
    left -= tile.count;
  }
}
