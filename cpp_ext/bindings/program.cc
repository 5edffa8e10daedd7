// Programs as Python builds, saves and runs them.

#include "bindings/program.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <cstring>

#include "bindings/attributes.h"
#include "engine/file.h"
#include "engine/program.h"
#include "threads/pools.h"

namespace nb = nanobind;
using namespace graphopt;

namespace {

using Shape = std::vector<std::variant<std::int64_t, std::string>>;

Shape shape_of(const Port& input) {
  Shape shape;
  for (const Axis& axis : input.axes) {
    if (axis.size < 0) shape.emplace_back(axis.symbol);
    else shape.emplace_back(axis.size);
  }
  return shape;
}

std::vector<std::int64_t> sizes_of(const Dims& dims) {
  std::vector<std::int64_t> sizes;
  for (int axis = 0; axis < dims.rank(); ++axis) sizes.push_back(dims[axis]);
  return sizes;
}

using PortText = std::tuple<std::string, std::string, Shape>;

// The program with the graph it is made from, which the reference and the file need.
class ProgramWithGraph {
 public:
  ProgramWithGraph(Graph graph, const std::optional<std::string>& tier)
      : graph_(std::move(graph)),
        program_(std::make_shared<const Program>(
            graph_, kernels::table_of(tier ? kernels::tier_named(tier->c_str()) : kernels::chosen()))) {}

  static ProgramWithGraph load(const nb::bytes& bytes, const std::optional<std::string>& tier) {
    const nb::gil_scoped_release unlocked;
    return ProgramWithGraph(decode(bytes.data(), bytes.size()), tier);
  }

  nb::bytes save() const {
    const std::vector<unsigned char> bytes = encode(graph_);
    return nb::bytes(bytes.data(), bytes.size());
  }

  std::vector<PortText> inputs() const {
    std::vector<PortText> all;
    for (const Port& input : graph_.inputs) all.emplace_back(input.name, name_of(input.type), shape_of(input));
    return all;
  }

  std::vector<std::string> outputs() const {
    std::vector<std::string> all;
    for (const Result& output : graph_.outputs) all.push_back(output.name);
    return all;
  }

  std::vector<nb::object> run(const std::vector<AnyArray>& arrays, int threads) const {
    ThreadPool& pool = shared_pool(threads);
    const Call call(*this, arrays);
    {
      const nb::gil_scoped_release unlocked;
      call.bound->run(call.inputs.data(), call.outputs.data(), pool);
    }
    return call.results;
  }

  // Seconds of each of `repeats` runs on the same memory.
  std::vector<double> seconds(const std::vector<AnyArray>& arrays, int threads, int repeats) const {
    ThreadPool& pool = shared_pool(threads);
    const Call call(*this, arrays);
    std::vector<double> all(static_cast<std::size_t>(repeats));
    const nb::gil_scoped_release unlocked;
    for (double& each : all) {
      const auto start = std::chrono::steady_clock::now();
      call.bound->run(call.inputs.data(), call.outputs.data(), pool);
      each = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    return all;
  }

  // Seconds a run of each step.
  std::vector<double> profile(const std::vector<AnyArray>& arrays, int threads, int repeats) const {
    ThreadPool& pool = shared_pool(threads);
    const Call call(*this, arrays);
    std::vector<double> all;
    const nb::gil_scoped_release unlocked;
    for (int i = 0; i < repeats; ++i) call.bound->profile(call.inputs.data(), call.outputs.data(), pool, all);
    for (double& each : all) each /= repeats;
    return all;
  }

  std::vector<nb::object> reference(const std::vector<AnyArray>& arrays) const {
    std::vector<View> given;
    for (const AnyArray& array : arrays) given.push_back({layout_of(array), const_cast<void*>(array.data())});
    // The same checks of shapes as before a run.
    static_cast<void>(bind(arrays));
    std::vector<nb::object> results;
    for (const Computed& each : interpret(graph_, given)) {
      void* data = nullptr;
      results.push_back(new_array(each.layout, &data));
      if (!each.bytes.empty()) std::memcpy(data, each.bytes.data(), each.bytes.size());
    }
    return results;
  }

  using Sizes = std::vector<std::vector<std::int64_t>>;

  std::size_t arena(const Sizes& shapes) const { return bound_to(shapes)->arena(); }
  std::size_t unshared(const Sizes& shapes) const { return bound_to(shapes)->unshared(); }

  // Name, kind, and for inputs of these shapes: whether anything is done, and whether it is done in place.
  using Fact = std::tuple<std::string, std::string, bool, bool, Sizes, Sizes>;
  std::vector<Fact> steps(const Sizes& shapes) const {
    std::vector<Fact> all;
    for (const BoundProgram::Fact& fact : bound_to(shapes)->facts()) {
      Sizes inputs, outputs;
      for (const Layout& each : fact.inputs) inputs.push_back(sizes_of(each.dims));
      for (const Layout& each : fact.outputs) outputs.push_back(sizes_of(each.dims));
      all.emplace_back(fact.step->name, fact.step->kind, fact.runs, fact.in_place, inputs, outputs);
    }
    return all;
  }

  // Bytes of inputs and of outputs of each step for inputs of these shapes, bytes of its own constants, and the shape of
  // its weights if it has any.
  using Demand = std::tuple<std::size_t, std::size_t, std::size_t, std::vector<std::int64_t>>;
  std::vector<Demand> demands(const Sizes& shapes) const {
    std::vector<Demand> all;
    std::size_t index = 0;
    for (const BoundProgram::Fact& fact : bound_to(shapes)->facts()) {
      const Attributes& attributes = *graph_.steps[index++].attributes;
      std::size_t read = 0, written = 0, constant = 0;
      for (const Layout& each : fact.inputs) read += each.bytes();
      for (const Layout& each : fact.outputs) written += each.bytes();
      for (const auto& each : attributes.all()) {
        if (const auto* array = std::get_if<Array>(&each.second)) constant += array->bytes.size();
      }
      const auto weights = attributes.all().find("weights");
      const auto* array = weights == attributes.all().end() ? nullptr : std::get_if<Array>(&weights->second);
      all.emplace_back(read, written, constant, array == nullptr ? std::vector<std::int64_t>{} : sizes_of(array->dims));
    }
    return all;
  }

  std::size_t held() const { return program_->held(); }

 private:
  struct Call {
    Call(const ProgramWithGraph& program, const std::vector<AnyArray>& arrays) : bound(program.bind(arrays)) {
      for (const AnyArray& array : arrays) inputs.push_back(array.data());
      for (const Layout& layout : bound->outputs()) {
        void* data = nullptr;
        results.push_back(new_array(layout, &data));
        outputs.push_back(data);
      }
    }

    std::shared_ptr<const BoundProgram> bound;
    std::vector<const void*> inputs;
    std::vector<void*> outputs;
    std::vector<nb::object> results;
  };

  std::shared_ptr<const BoundProgram> bind(const std::vector<AnyArray>& arrays) const {
    expect_count(arrays.size());
    std::vector<Dims> shapes;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      const Layout layout = layout_of(arrays[i]);
      const Port& input = graph_.inputs[i];
      if (layout.type != input.type) {
        throw Invalid("input '" + input.name + "' is of " + name_of(layout.type) + ", not " + name_of(input.type));
      }
      shapes.push_back(layout.dims);
    }
    const nb::gil_scoped_release unlocked;
    return program_->bind(shapes.data());
  }

  std::shared_ptr<const BoundProgram> bound_to(const Sizes& sizes) const {
    expect_count(sizes.size());
    std::vector<Dims> shapes;
    for (const auto& each : sizes) shapes.emplace_back(each);
    const nb::gil_scoped_release unlocked;
    return program_->bind(shapes.data());
  }

  void expect_count(std::size_t count) const {
    if (count == graph_.inputs.size()) return;
    throw Invalid("the program takes " + std::to_string(graph_.inputs.size()) + " inputs, not " + std::to_string(count));
  }

  Graph graph_;
  std::shared_ptr<const Program> program_;
};

// Gives values numbers in the order they are told; a graph wants inputs first, then constants.
class Builder {
 public:
  int input(const std::string& name, const std::string& type, const Shape& shape) {
    Port input{name, type_named(type), {}};
    for (const auto& axis : shape) {
      if (const auto* size = std::get_if<std::int64_t>(&axis)) {
        if (*size < 0) throw Invalid("input '" + name + "' has an axis of negative size");
        input.axes.push_back({*size, ""});
      } else {
        input.axes.push_back({-1, std::get<std::string>(axis)});
      }
    }
    graph_.inputs.push_back(std::move(input));
    return add(Source::kInput, graph_.inputs.size() - 1);
  }

  int constant(const AnyArray& given) {
    const Layout layout = layout_of(given);
    Array array{layout.type, layout.dims, std::vector<unsigned char>(layout.bytes())};
    if (!array.bytes.empty()) std::memcpy(array.bytes.data(), given.data(), array.bytes.size());
    graph_.constants.push_back(std::make_shared<const Array>(std::move(array)));
    return add(Source::kConstant, graph_.constants.size() - 1);
  }

  std::vector<int> step(const std::string& kind, const std::vector<int>& inputs, const nb::dict& attributes, int outputs,
                        const std::string& name) {
    for (const int input : inputs) expect_known(input);
    if (outputs < 1) throw Invalid("a step has at least one output");
    Step step{kind, name, std::make_shared<const Attributes>(attributes_of(attributes)), inputs, outputs};
    // Here, where the caller still knows what the step stands for.
    try {
      static_cast<void>(kind_named(kind).make(*step.attributes, kernels::table_of(kernels::chosen())));
    } catch (const Invalid& error) {
      throw Invalid(kind + (name.empty() ? "" : " '" + name + "'") + ": " + error.what());
    }
    graph_.steps.push_back(std::move(step));
    std::vector<int> ids;
    for (int output = 0; output < outputs; ++output) ids.push_back(add(Source::kStep, computed_++));
    return ids;
  }

  void output(int value, const std::string& name) {
    expect_known(value);
    graph_.outputs.push_back({name, value});
  }

  ProgramWithGraph build(const std::optional<std::string>& tier) const {
    Graph graph = graph_;
    for (Step& step : graph.steps) {
      for (int& input : step.inputs) input = number_of(input);
    }
    for (Result& output : graph.outputs) output.value = number_of(output.value);
    check(graph);
    return ProgramWithGraph(std::move(graph), tier);
  }

 private:
  enum class Source { kInput, kConstant, kStep };

  int add(Source source, std::size_t index) {
    values_.push_back({source, static_cast<int>(index)});
    return static_cast<int>(values_.size()) - 1;
  }

  void expect_known(int value) const {
    if (value < 0 || static_cast<std::size_t>(value) >= values_.size()) {
      throw Invalid("no value has the number " + std::to_string(value));
    }
  }

  int number_of(int value) const {
    const auto& [source, index] = values_[static_cast<std::size_t>(value)];
    if (source == Source::kInput) return index;
    return index + (source == Source::kConstant ? graph_.first_constant() : graph_.first_computed());
  }

  Graph graph_;
  std::vector<std::pair<Source, int>> values_;
  std::size_t computed_ = 0;
};

}  // namespace

void bind_program(nb::module_& module) {
  nb::class_<ProgramWithGraph>(module, "Program", "Operators on values, run in one arena.")
      .def_static("load", &ProgramWithGraph::load, nb::arg("data"), nb::arg("tier") = nb::none())
      .def("save", &ProgramWithGraph::save)
      .def_prop_ro("inputs", &ProgramWithGraph::inputs)
      .def_prop_ro("outputs", &ProgramWithGraph::outputs)
      .def("run", &ProgramWithGraph::run, nb::arg("inputs"), nb::arg("threads") = 1)
      .def("seconds", &ProgramWithGraph::seconds, nb::arg("inputs"), nb::arg("threads"), nb::arg("repeats"))
      .def("profile", &ProgramWithGraph::profile, nb::arg("inputs"), nb::arg("threads"), nb::arg("repeats"))
      .def("reference", &ProgramWithGraph::reference, nb::arg("inputs"))
      .def("arena", &ProgramWithGraph::arena, nb::arg("shapes"))
      .def("unshared", &ProgramWithGraph::unshared, nb::arg("shapes"))
      .def("steps", &ProgramWithGraph::steps, nb::arg("shapes"))
      .def("demands", &ProgramWithGraph::demands, nb::arg("shapes"))
      .def_prop_ro("held", &ProgramWithGraph::held);
  nb::class_<Builder>(module, "ProgramBuilder", "Tells a program value by value.")
      .def(nb::init<>())
      .def("input", &Builder::input, nb::arg("name"), nb::arg("type"), nb::arg("shape"))
      .def("constant", &Builder::constant, nb::arg("array"))
      .def("step", &Builder::step, nb::arg("kind"), nb::arg("inputs"), nb::arg("attributes"), nb::arg("outputs") = 1,
           nb::arg("name") = "")
      .def("output", &Builder::output, nb::arg("value"), nb::arg("name"))
      .def("build", &Builder::build, nb::arg("tier") = nb::none());
}
