// Programs: made, bound and run.

#include "engine/program.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>

#include "engine/file.h"

namespace graphopt {

namespace {

constexpr std::size_t kMostShapes = 32;  // that a program remembers
constexpr std::size_t kPointer = sizeof(void*);

std::size_t round_up(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Of all values, dense, in their order.
Layouts infer(const Core& core, const Dims* shapes, Inference& inference) {
  Layouts layouts;
  for (std::size_t i = 0; i < core.inputs.size(); ++i) layouts.emplace_back(core.inputs[i].type, shapes[i]);
  for (const auto& constant : core.constants) {
    layouts.push_back(Inference::constant(constant->type, constant->dims, constant->bytes.data()));
  }
  for (const Core::Made& step : core.steps) {
    Layouts inputs;
    for (const int input : step.inputs) inputs.push_back(layouts[static_cast<std::size_t>(input)]);
    try {
      const Layouts outputs = inference.outputs(*step.op, inputs);
      if (outputs.size() != static_cast<std::size_t>(step.outputs)) {
        throw Invalid("gives " + std::to_string(outputs.size()) + " outputs, not " + std::to_string(step.outputs));
      }
      layouts.insert(layouts.end(), outputs.begin(), outputs.end());
    } catch (const Invalid& error) {
      throw Invalid(step.title + ": " + error.what());
    }
  }
  return layouts;
}

}  // namespace

Program::Program(const Graph& graph, const kernels::Table& kernels) : core_(std::make_shared<Core>()) {
  check(graph);
  core_->inputs = graph.inputs;
  core_->constants = graph.constants;
  core_->outputs = graph.outputs;
  for (std::size_t i = 0; i < graph.steps.size(); ++i) {
    const Step& step = graph.steps[i];
    try {
      core_->steps.push_back({title(graph, i), step.kind, step.name,
                              kind_named(step.kind).make(*step.attributes, kernels), step.inputs, step.outputs});
    } catch (const Invalid& error) {
      throw Invalid(title(graph, i) + ": " + error.what());
    }
  }
  // Where all sizes are known, what does not fit is told at once.
  std::vector<Dims> shapes;
  for (const Port& input : core_->inputs) {
    std::vector<std::int64_t> sizes;
    for (const Axis& axis : input.axes) {
      if (axis.size < 0) return;
      sizes.push_back(axis.size);
    }
    shapes.emplace_back(sizes);
  }
  Inference inference;
  infer(*core_, shapes.data(), inference);
}

std::shared_ptr<const Program> Program::load(const void* bytes, std::size_t size) {
  return std::make_shared<const Program>(decode(bytes, size));
}

void Program::expect_fit(const Dims* shapes) const {
  std::map<std::string, std::int64_t> sizes;
  for (std::size_t i = 0; i < core_->inputs.size(); ++i) {
    const Port& input = core_->inputs[i];
    bool fits = static_cast<std::size_t>(shapes[i].rank()) == input.axes.size();
    std::string wanted;
    for (std::size_t axis = 0; axis < input.axes.size(); ++axis) {
      const Axis& each = input.axes[axis];
      wanted += (axis ? ", " : "") + (each.size < 0 ? each.symbol : std::to_string(each.size));
      if (!fits) continue;
      const std::int64_t size = shapes[i][static_cast<int>(axis)];
      if (each.size >= 0) {
        fits = size == each.size;
        continue;
      }
      const auto known = sizes.emplace(each.symbol, size).first;
      if (known->second != size) {
        throw Invalid("axis '" + each.symbol + "' is " + std::to_string(known->second) + " and, in input '" + input.name +
                      "', " + std::to_string(size));
      }
    }
    if (!fits) throw Invalid("input '" + input.name + "' has the shape " + shapes[i].text() + ", not [" + wanted + "]");
  }
}

std::shared_ptr<const BoundProgram> Program::bind(const Dims* shapes) const {
  const std::size_t count = core_->inputs.size();
  {
    const std::lock_guard<std::mutex> lock(lock_);
    for (auto entry = bound_.begin(); entry != bound_.end(); ++entry) {
      if (!std::equal(shapes, shapes + count, entry->shapes.begin())) continue;
      bound_.splice(bound_.begin(), bound_, entry);
      return bound_.front().bound;
    }
  }
  expect_fit(shapes);
  auto made = std::make_shared<const BoundProgram>(core_, shapes);
  const std::lock_guard<std::mutex> lock(lock_);
  bound_.push_front({std::vector<Dims>(shapes, shapes + count), made});
  if (bound_.size() > kMostShapes) bound_.pop_back();
  return made;
}

BoundProgram::BoundProgram(std::shared_ptr<Core> core, const Dims* shapes) : core_(std::move(core)) {
  const Layouts layouts = infer(*core_, shapes, inference_);
  inputs_.assign(layouts.begin(), layouts.begin() + static_cast<std::ptrdiff_t>(core_->inputs.size()));
  for (const Result& output : core_->outputs) outputs_.push_back(layouts[static_cast<std::size_t>(output.value)]);
  plan(layouts);
}

void BoundProgram::plan(const Layouts& layouts) {
  Values values;
  values.inputs = static_cast<int>(core_->inputs.size());
  values.constants = static_cast<int>(core_->constants.size());
  for (const Result& output : core_->outputs) values.outputs.push_back(output.value);
  values.layouts = layouts;
  std::vector<PlannedStep> planned;
  int value = values.inputs + values.constants;
  for (const Core::Made& step : core_->steps) {
    planned.push_back({step.op.get(), step.inputs, {}});
    for (int output = 0; output < step.outputs; ++output) planned.back().outputs.push_back(value++);
  }
  Pieces pieces = share(planned, values);
  plan_ = std::move(pieces.plan);

  // A step's workspace is one more piece, for that step alone.
  for (std::size_t i = 0; i < planned.size(); ++i) {
    if (!plan_.runs[i]) continue;
    Layouts inputs, outputs;
    BoundStep step{i, nullptr, {}, {}, 0};
    for (const int input : planned[i].inputs) {
      inputs.push_back(plan_.layouts[static_cast<std::size_t>(input)]);
      step.inputs.push_back(plan_.places[static_cast<std::size_t>(input)]);
    }
    for (const int output : planned[i].outputs) {
      outputs.push_back(plan_.layouts[static_cast<std::size_t>(output)]);
      step.outputs.push_back(plan_.places[static_cast<std::size_t>(output)]);
    }
    try {
      step.bound = planned[i].op->bind(inputs, outputs);
    } catch (const Invalid& error) {
      throw Invalid(core_->steps[i].title + ": " + error.what());
    }
    const auto at = static_cast<std::int64_t>(i);
    pieces.ranges.push_back({at, at, static_cast<std::int64_t>(step.bound->workspace())});
    most_pointers_ = std::max(most_pointers_, inputs.size() + outputs.size());
    steps_.push_back(std::move(step));
  }
  const Arena arena = place(pieces.ranges);
  for (std::size_t i = 0; i < plan_.places.size(); ++i) {
    const int piece = pieces.piece[i];
    if (piece >= 0) plan_.places[i].offset += arena.offsets[static_cast<std::size_t>(piece)];
  }
  std::size_t workspace = pieces.ranges.size() - steps_.size();
  for (BoundStep& step : steps_) {
    step.workspace = arena.offsets[workspace++];
    const PlannedStep& each = planned[step.step];
    for (std::size_t i = 0; i < each.inputs.size(); ++i) {
      step.inputs[i] = plan_.places[static_cast<std::size_t>(each.inputs[i])];
    }
    for (std::size_t i = 0; i < each.outputs.size(); ++i) {
      step.outputs[i] = plan_.places[static_cast<std::size_t>(each.outputs[i])];
    }
  }
  copies_.assign(outputs_.size(), {Place{}, 0});
  for (const int output : plan_.copies) {
    const auto i = static_cast<std::size_t>(output);
    copies_[i] = {plan_.places[static_cast<std::size_t>(values.outputs[i])], outputs_[i].bytes()};
  }
  // The pointers of the step at hand lie behind the values: a run needs nothing else.
  arena_ = arena.bytes + round_up(most_pointers_ * kPointer);
  for (std::size_t i = static_cast<std::size_t>(values.inputs + values.constants); i < layouts.size(); ++i) {
    unshared_ += round_up(layouts[i].bytes());
  }
}

// One run: finds where things are.
class BoundProgram::Frame {
 public:
  Frame(const BoundProgram& program, const void* const* inputs, void* const* outputs)
      : program_(program),
        inputs_(inputs),
        outputs_(outputs),
        lease_(program.core_->arenas, program.arena_),
        arena_(lease_.data()),
        pointers_(reinterpret_cast<void**>(arena_ + program.arena_ - round_up(program.most_pointers_ * kPointer))) {}

  void run(const BoundStep& step, ThreadPool& pool) const {
    void** next = pointers_;
    for (const Place& place : step.inputs) *next++ = find(place);
    void** const outputs = next;
    for (const Place& place : step.outputs) *next++ = find(place);
    step.bound->run({pointers_, outputs, arena_ + step.workspace, pool});
  }

  void copy() const {
    for (const int output : program_.plan_.copies) {
      const auto& [place, bytes] = program_.copies_[static_cast<std::size_t>(output)];
      if (bytes > 0) std::memcpy(outputs_[output], find(place), bytes);
    }
  }

 private:
  void* find(const Place& place) const {
    switch (place.memory) {
      case Memory::kInput: return const_cast<char*>(static_cast<const char*>(inputs_[place.index])) + place.offset;
      case Memory::kConstant:
        return const_cast<unsigned char*>(program_.core_->constants[static_cast<std::size_t>(place.index)]->bytes.data()) +
               place.offset;
      case Memory::kOutput: return static_cast<char*>(outputs_[place.index]) + place.offset;
      case Memory::kArena: break;
    }
    return arena_ + place.offset;
  }

  const BoundProgram& program_;
  const void* const* inputs_;
  void* const* outputs_;
  const Arenas::Lease lease_;
  char* arena_;
  void** pointers_;
};

void BoundProgram::run(const void* const* inputs, void* const* outputs, ThreadPool& pool) const {
  const Frame frame(*this, inputs, outputs);
  for (const BoundStep& step : steps_) frame.run(step, pool);
  frame.copy();
}

void BoundProgram::profile(const void* const* inputs, void* const* outputs, ThreadPool& pool,
                           std::vector<double>& seconds) const {
  seconds.resize(core_->steps.size(), 0.0);
  const Frame frame(*this, inputs, outputs);
  auto before = std::chrono::steady_clock::now();
  for (const BoundStep& step : steps_) {
    frame.run(step, pool);
    const auto now = std::chrono::steady_clock::now();
    seconds[step.step] += std::chrono::duration<double>(now - before).count();
    before = now;
  }
  frame.copy();
}

std::vector<BoundProgram::Fact> BoundProgram::facts() const {
  std::vector<Fact> all;
  std::size_t value = core_->inputs.size() + core_->constants.size();
  for (std::size_t i = 0; i < core_->steps.size(); ++i) {
    const Core::Made& step = core_->steps[i];
    all.push_back({&step, plan_.runs[i], plan_.in_place[i], {}, {}});
    for (const int input : step.inputs) all.back().inputs.push_back(plan_.layouts[static_cast<std::size_t>(input)]);
    for (int output = 0; output < step.outputs; ++output) all.back().outputs.push_back(plan_.layouts[value++]);
  }
  return all;
}

}  // namespace graphopt
