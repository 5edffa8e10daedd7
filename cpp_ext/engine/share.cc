// Which values share memory.
//
// Values that share a piece of memory form a group: a piece of rows, one pitch apart, in which each member has a place.
// First, what only looks at a value (reshape, a slice) joins its group. Then the parts of what is joined from them move
// into the group of the whole, which gives their rows gaps: all that read or write them must take such rows. Last,
// outputs that may overwrite an input join its group, if nothing of it is read any more. Each byte of a group is
// written once, except in that last case.

#include <algorithm>
#include <limits>

#include "engine/plan.h"

namespace graphopt {

namespace {

constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();  // after the last step

std::int64_t size_in(const Layout& layout) { return static_cast<std::int64_t>(size_of(layout.type)); }
std::int64_t bytes_of(const Layout& layout) { return static_cast<std::int64_t>(layout.bytes()); }

struct Group {
  Memory memory = Memory::kArena;
  int index = 0;
  std::int64_t pitch = 0;   // bytes from row to row
  std::int64_t extent = 0;  // bytes from the first to behind the last
  std::int64_t first = 0;   // step that writes it first
  std::int64_t last = 0;    // step that reads it last
  std::vector<int> members;
};

class Sharing {
 public:
  Sharing(const std::vector<PlannedStep>& steps, const Values& values) : steps_(steps), values_(values) {
    const std::size_t count = values.layouts.size();
    layouts_ = values.layouts;
    offsets_.assign(count, 0);
    groups_.resize(count);
    group_.resize(count);
    readers_.resize(count);
    writer_.assign(count, -1);
    viewed_.assign(steps.size(), false);
    runs_.assign(steps.size(), true);
    in_place_.assign(steps.size(), false);
    output_.assign(count, -1);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      for (const int value : steps[i].inputs) readers_[at(value)].push_back(static_cast<int>(i));
      for (const int value : steps[i].outputs) writer_[at(value)] = static_cast<int>(i);
    }
    const int first_computed = values.inputs + values.constants;
    for (std::size_t i = 0; i < values.outputs.size(); ++i) {
      const int value = values.outputs[i];
      // A value that is two outputs, or was there before, is copied.
      if (value >= first_computed && output_[at(value)] < 0) output_[at(value)] = static_cast<int>(i);
    }
    for (std::size_t i = 0; i < count; ++i) groups_[i] = alone(static_cast<int>(i));
    for (std::size_t i = 0; i < count; ++i) group_[i] = static_cast<int>(i);
  }

  Pieces run() {
    for (std::size_t i = 0; i < steps_.size(); ++i) view(i);
    for (std::size_t i = 0; i < steps_.size(); ++i) join(i);
    for (std::size_t i = 0; i < steps_.size(); ++i) overwrite(i);
    return result();
  }

 private:
  static std::size_t at(int index) { return static_cast<std::size_t>(index); }
  Group& group_of(int value) { return groups_[at(group_[at(value)])]; }

  Group alone(int value) const {
    const Layout& layout = layouts_[at(value)];
    Group group;
    group.pitch = layout.pitch * size_in(layout);
    group.extent = bytes_of(layout);
    group.members = {value};
    if (value < values_.inputs) {
      group.memory = Memory::kInput;
      group.index = value;
    } else if (value < values_.inputs + values_.constants) {
      group.memory = Memory::kConstant;
      group.index = value - values_.inputs;
    } else if (output_[at(value)] >= 0) {
      group.memory = Memory::kOutput;
      group.index = output_[at(value)];
    }
    group.first = group.last = std::max(writer_[at(value)], 0);
    for (const int reader : readers_[at(value)]) group.last = std::max<std::int64_t>(group.last, reader);
    for (const int output : values_.outputs) {
      if (output == value) group.last = kEnd;
    }
    return group;
  }

  bool covers(int value) { return offsets_[at(value)] == 0 && bytes_of(layouts_[at(value)]) == group_of(value).extent; }

  // Moves the members of one group into another, whose pitch becomes theirs if it differs.
  void embed(int from, int into, std::int64_t offset) {
    Group& source = groups_[at(from)];
    Group& target = groups_[at(into)];
    for (const int member : source.members) {
      Layout& layout = layouts_[at(member)];
      std::int64_t& place = offsets_[at(member)];
      if (source.pitch != target.pitch && source.pitch > 0) {
        place = place / source.pitch * target.pitch + place % source.pitch;
        if (layout.dims.rows() > 1) layout.pitch = target.pitch / size_in(layout);
      }
      place += offset;
      group_[at(member)] = into;
      target.members.push_back(member);
    }
    target.first = std::min(target.first, source.first);
    target.last = std::max(target.last, source.last);
    source.members.clear();
  }

  // Whether a group may take the pitch of a member of another, which is that of its group.
  bool may_move(const Group& group, const Layout& member, const Group& into) const {
    return member.pitch * size_in(member) == into.pitch && may_gain_gaps(group, into.pitch);
  }

  // Whether the members, which steps compute, may lie in rows of another pitch.
  bool may_gain_gaps(const Group& group, std::int64_t pitch) const {
    for (const int member : group.members) {
      const Layout& layout = layouts_[at(member)];
      const std::int64_t begin = group.pitch > 0 ? offsets_[at(member)] % group.pitch : 0;
      if (begin + layout.dims.columns() * size_in(layout) > group.pitch) return false;
      if (layout.dims.rows() <= 1) continue;
      if (layout.pitch * size_in(layout) != group.pitch || pitch % size_in(layout) != 0) return false;
      if (!takes_gaps(writer_[at(member)]) || !readers_take_gaps(member)) return false;
    }
    return true;
  }

  bool takes_gaps(int step) const { return viewed_[at(step)] || steps_[at(step)].op->pitched(); }

  bool readers_take_gaps(int value) const {
    const std::vector<int>& readers = readers_[at(value)];
    return std::all_of(readers.begin(), readers.end(), [&](int step) { return takes_gaps(step); });
  }

  // What is nothing but another look at a value lies where this lies.
  void view(std::size_t i) {
    const PlannedStep& step = steps_[i];
    if (step.inputs.empty() || step.outputs.size() != 1) return;
    const int from = step.inputs[0], to = step.outputs[0];
    const Layout& input = layouts_[at(from)];
    Layout output = layouts_[at(to)];
    Layouts inputs;
    for (const int value : step.inputs) inputs.push_back(layouts_[at(value)]);
    const std::int64_t begin = step.op->view(inputs, output);
    if (begin < 0) return;
    if (begin * size_in(input) + bytes_of(output) > bytes_of(input)) throw Invalid("a view beyond what it looks at");
    Group& group = group_of(from);
    const bool moved = output.pitch != layouts_[at(to)].pitch && output.dims.rows() > 1;
    if (moved && !readers_take_gaps(to)) return;
    const bool leaves = output_[at(to)] >= 0;
    if (leaves) {
      // It becomes an output's memory, which holds that one value and nothing before or behind it.
      if (group.memory != Memory::kArena || moved || begin != 0 || bytes_of(output) != group.extent) return;
      group.memory = Memory::kOutput;
      group.index = output_[at(to)];
    }
    layouts_[at(to)] = output;
    offsets_[at(to)] = offsets_[at(from)] + begin * size_in(input);
    Group& own = groups_[at(group_[at(to)])];
    group.first = std::min(group.first, own.first);
    group.last = std::max(group.last, own.last);
    group.members.push_back(to);
    own.members.clear();
    group_[at(to)] = group_[at(from)];
    viewed_[i] = true;
    runs_[i] = false;
  }

  // The parts of what is joined lie in it from the start, if that takes no more memory at the worst moment.
  void join(std::size_t i) {
    const PlannedStep& step = steps_[i];
    if (viewed_[i] || step.outputs.size() != 1) return;
    const int whole = step.outputs[0];
    Layouts inputs;
    for (const int input : step.inputs) inputs.push_back(layouts_[at(input)]);
    std::size_t joined = 0;
    for (std::size_t part = 0; part < step.inputs.size(); ++part) {
      const std::int64_t begin = step.op->place(inputs, layouts_[at(whole)], part);
      if (begin >= 0 && join_part(step.inputs[part], whole, begin)) ++joined;
    }
    if (joined > 0 && joined == step.inputs.size()) runs_[i] = false;
  }

  bool join_part(int part, int whole, std::int64_t begin) {
    const int from = group_[at(part)], into = group_[at(whole)];
    const Layout& output = layouts_[at(whole)];
    if (from == into || groups_[at(from)].memory != Memory::kArena || !covers(part)) return false;
    const bool rows = layouts_[at(part)].dims.rows() > 1;
    const bool same = !rows || output.pitch == layouts_[at(part)].pitch;
    if (!same && !may_move(groups_[at(from)], output, groups_[at(into)])) return false;
    if (!worth_it(groups_[at(from)], groups_[at(into)])) return false;
    const std::int64_t offset = offsets_[at(whole)] + begin * size_in(output);
    if (same) groups_[at(from)].pitch = groups_[at(into)].pitch;
    embed(from, into, offset);
    return true;
  }

  // The most bytes that are live at a time may not grow where the part's time becomes that of the whole.
  bool worth_it(const Group& part, const Group& whole) const {
    if (whole.memory != Memory::kArena) return true;
    const std::size_t count = steps_.size();
    std::vector<std::int64_t> change(count + 1, 0);
    const auto add = [&](const Group& group, std::int64_t first, std::int64_t bytes) {
      const auto last = std::min<std::int64_t>(group.last, static_cast<std::int64_t>(count) - 1);
      change[at(static_cast<int>(first))] += bytes;
      change[at(static_cast<int>(last + 1))] -= bytes;
    };
    for (const Group& group : groups_) {
      if (!group.members.empty() && group.memory == Memory::kArena) add(group, group.first, group.extent);
    }
    const auto most = [&] {
      std::int64_t live = 0, highest = 0;
      for (const std::int64_t each : change) highest = std::max(highest, live += each);
      return highest;
    };
    const std::int64_t before = most();
    add(part, part.first, -part.extent);
    add(whole, whole.first, -whole.extent);
    Group all = whole;
    all.last = std::max(part.last, whole.last);
    add(all, std::min(part.first, whole.first), whole.extent);
    return most() <= before;
  }

  // An output takes the place of an input that nothing reads any more.
  void overwrite(std::size_t i) {
    const PlannedStep& step = steps_[i];
    if (!runs_[i] || step.outputs.empty()) return;
    Layouts inputs;
    for (const int input : step.inputs) inputs.push_back(layouts_[at(input)]);
    for (std::size_t input = 0; input < step.inputs.size() && !in_place_[i]; ++input) {
      if (step.op->in_place(input, inputs)) in_place_[i] = overwrite(i, input);
    }
  }

  bool overwrite(std::size_t i, std::size_t input) {
    const PlannedStep& step = steps_[i];
    const int from = step.inputs[input], to = step.outputs[0];
    const int source = group_[at(from)], target = group_[at(to)];
    Group& given = groups_[at(source)];
    Group& wanted = groups_[at(target)];
    if (source == target || given.memory != Memory::kArena || given.last != static_cast<std::int64_t>(i)) return false;
    // Nothing else that the step reads or writes may lie there.
    for (std::size_t other = 0; other < step.inputs.size(); ++other) {
      if (other != input && (group_[at(step.inputs[other])] == source || group_[at(step.inputs[other])] == target)) return false;
    }
    for (std::size_t other = 1; other < step.outputs.size(); ++other) {
      if (group_[at(step.outputs[other])] == source || group_[at(step.outputs[other])] == target) return false;
    }
    const Layout& a = layouts_[at(from)];
    const Layout& b = layouts_[at(to)];
    if (size_in(a) != size_in(b) || a.dims != b.dims) return false;
    const bool same = a.dims.rows() <= 1 || a.pitch == b.pitch;
    if (wanted.memory == Memory::kArena && covers(to)) {
      if (!same && !may_move(wanted, a, given)) return false;
      if (same) wanted.pitch = given.pitch;
      embed(target, source, offsets_[at(from)]);
      return true;
    }
    if (!covers(from)) return false;
    if (!same && !may_move(given, b, wanted)) return false;
    if (same) given.pitch = wanted.pitch;
    embed(source, target, offsets_[at(to)]);
    return true;
  }

  Pieces result() {
    Pieces pieces;
    const std::size_t count = layouts_.size();
    pieces.piece.assign(count, -1);
    pieces.plan.places.resize(count);
    for (const Group& group : groups_) {
      if (group.members.empty()) continue;
      for (const int member : group.members) {
        const auto offset = static_cast<std::size_t>(offsets_[at(member)]);
        pieces.plan.places[at(member)] = {group.memory, group.index, offset};
        if (group.memory == Memory::kArena) pieces.piece[at(member)] = static_cast<int>(pieces.ranges.size());
      }
      if (group.memory != Memory::kArena) continue;
      const auto last = std::min<std::int64_t>(group.last, static_cast<std::int64_t>(steps_.size()) - 1);
      pieces.ranges.push_back({group.first, last, group.extent});
    }
    for (std::size_t i = 0; i < values_.outputs.size(); ++i) {
      const Place& place = pieces.plan.places[at(values_.outputs[i])];
      if (place.memory != Memory::kOutput || place.index != static_cast<int>(i)) {
        pieces.plan.copies.push_back(static_cast<int>(i));
      }
    }
    pieces.plan.layouts = std::move(layouts_);
    pieces.plan.runs = std::move(runs_);
    pieces.plan.in_place = std::move(in_place_);
    return pieces;
  }

  const std::vector<PlannedStep>& steps_;
  const Values& values_;
  Layouts layouts_;
  std::vector<std::int64_t> offsets_;  // bytes, in the group
  std::vector<Group> groups_;
  std::vector<int> group_;  // of each value
  std::vector<std::vector<int>> readers_;
  std::vector<int> writer_;  // step, or -1
  std::vector<bool> viewed_, runs_, in_place_;
  std::vector<int> output_;  // which output a value is first, or -1
};

}  // namespace

Pieces share(const std::vector<PlannedStep>& steps, const Values& values) { return Sharing(steps, values).run(); }

}  // namespace graphopt
