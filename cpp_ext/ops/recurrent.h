// What recurrent networks share: directions, and the gates of all steps at once.
#pragma once

#include <vector>

#include "ops/float_panels.h"
#include "ops/op.h"

namespace graphopt {

// One direction's matrices. What is added to gates by x is a product of matrices, its bias included.
struct Direction {
  FloatPanels weights;                  // of x: [gates * H, I]
  std::vector<FloatPanels> recurrence;  // of h, each of so many rows of [gates * H, H] that one product gives them
  Aligned<float> bias;                  // with that of x; filled up to whole vectors
  bool reverse;
};

// The attributes `weights` f32 [D, gates * H, I], `recurrence` f32 [D, gates * H, H], `bias` f32 [D, gates * H] and
// `reverse`, which turns the only direction round, as the second of two is.
class Directions {
 public:
  // `parts`: gates of one product with h, one behind the other, all gates in sum. Throws Invalid.
  Directions(const Attributes& attributes, const kernels::Table& kernels, std::vector<std::int64_t> parts);

  std::int64_t count() const { return static_cast<std::int64_t>(all_.size()); }
  std::int64_t size() const { return size_; }
  std::int64_t depth() const { return depth_; }
  std::int64_t gates() const { return gates_; }
  const Direction& operator[](std::int64_t index) const { return all_[static_cast<std::size_t>(index)]; }
  // The output [T, D, B, H] of x [T, B, I] and, unless there are none, `states` states [D, B, H] to begin with.
  // Places behind the last h come to `more`. Throws Invalid.
  Layouts infer(const Layouts& inputs, std::size_t states, std::int64_t more = 0) const;
  // Throws Invalid unless it is of these dimensions.
  static void expect(const Array& array, const char* name, const Dims& dims);

 private:
  std::int64_t gates_;
  std::int64_t size_ = 0;
  std::int64_t depth_ = 0;
  std::vector<Direction> all_;
};

// Reads x as a whole, then remembers step by step; directions side by side.
class BoundRecurrence : public Bound {
 public:
  BoundRecurrence(const Directions& directions, const Layout& x);

  std::size_t workspace() const override;
  void run(const Run& run) const override;

 protected:
  // One step's gates [B, gates * H], to which what h gives has yet to be added; what is kept from step to step, h before,
  // and the next h, each [B, H].
  struct Step {
    std::int64_t direction;
    float* gates;
    float* kept;
    const float* h;
    float* to;
  };
  // What is kept at the beginning; returns h [B, H] at that time.
  virtual const float* begin(const Run& run, std::int64_t direction, float* kept) const = 0;
  virtual void advance(const Step& step) const = 0;
  // Writes what is behind the last h: at `to`, [B, H].
  virtual void end(const float* kept, float* to) const;

  const std::vector<FloatPanels>& recurrence(const Step& step) const { return directions_[step.direction].recurrence; }
  std::int64_t batch() const { return batch_; }
  std::int64_t size() const { return directions_.size(); }
  std::int64_t pitch() const { return directions_.gates() * directions_.size(); }
  std::int64_t state() const { return batch_ * directions_.size(); }

 private:
  std::int64_t floats_of_direction() const;
  float* memory(const Run& run, std::int64_t direction) const;
  void read(const Run& run, std::int64_t direction, std::int64_t block) const;
  void remember(const Run& run, std::int64_t direction) const;

  const Directions& directions_;
  std::int64_t steps_;
  std::int64_t batch_;
  FloatBlocks blocks_;
};

}  // namespace graphopt
