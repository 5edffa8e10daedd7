// The Python face of the C++ side: converts arguments, releases the lock, and does no work of its own.

#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include "bindings/ops.h"
#include "bindings/order.h"
#include "bindings/program.h"
#include "core/hash128.h"
#include "core/memory/greedy.h"
#include "core/memory/improve.h"
#include "core/memory/outward.h"

namespace nb = nanobind;

namespace {

// Holds the bytes of a C-contiguous Python buffer in place, without copying them.
class BufferView {
 public:
  explicit BufferView(nb::handle object) {
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_SIMPLE) != 0) throw nb::python_error();
  }
  ~BufferView() { PyBuffer_Release(&view_); }
  BufferView(const BufferView&) = delete;
  BufferView& operator=(const BufferView&) = delete;

  const void* data() const { return view_.buf; }
  std::size_t size() const { return static_cast<std::size_t>(view_.len); }

 private:
  Py_buffer view_;
};

nb::bytes hash128(nb::handle data) {
  const BufferView bytes(data);
  std::array<unsigned char, 16> digest;
  {
    const nb::gil_scoped_release unlocked;
    digest = graphopt::hash128(bytes.data(), bytes.size());
  }
  return nb::bytes(digest.data(), digest.size());
}

using Numbers = std::vector<std::int64_t>;

std::vector<std::int64_t> in_bytes(const graphopt::Problem& problem, Numbers offsets) {
  for (std::int64_t& offset : offsets) offset *= problem.unit;
  return offsets;
}

Numbers place_greedily(const graphopt::Buffers& buffers, const std::vector<int>& order, bool best_fit,
                       double seconds) {
  const graphopt::Problem problem(buffers);
  const graphopt::Fit fit = best_fit ? graphopt::Fit::kBest : graphopt::Fit::kFirst;
  return in_bytes(problem, graphopt::place_greedily(problem, order, fit, graphopt::after(seconds)));
}

Numbers place_outward(const graphopt::Buffers& buffers, int stacking) {
  const graphopt::Problem problem(buffers);
  if (!problem.uniform) return {};
  return in_bytes(problem, graphopt::place_outward(problem, static_cast<graphopt::Stacking>(stacking)));
}

graphopt::Buffers make_buffers(Numbers lower, Numbers upper, Numbers size, Numbers alignment, Numbers fixed) {
  const std::size_t count = size.size();
  if (lower.size() != count || upper.size() != count || alignment.size() != count || fixed.size() != count) {
    throw nb::value_error("lower, upper, size, alignment and fixed must have one entry per buffer");
  }
  return {std::move(lower), std::move(upper), std::move(size), std::move(alignment), std::move(fixed)};
}

}  // namespace

NB_MODULE(_native, module) {
  module.doc() = "Compiled parts of graphopt; use them through graphopt.native.";
  nb::class_<graphopt::Buffers>(module, "Buffers", "What there is to place: parallel lists, an entry per buffer.")
      .def_static("make", &make_buffers, nb::arg("lower"), nb::arg("upper"), nb::arg("size"),
                  nb::arg("alignment"), nb::arg("fixed"));
  nb::class_<graphopt::Improver>(module, "Improver", "Searches for ever better placements.")
      .def(nb::init<const graphopt::Buffers&, Numbers, std::int64_t, std::int64_t, std::uint64_t>(),
           nb::arg("buffers"), nb::arg("offsets"), nb::arg("bound"), nb::arg("goal"), nb::arg("seed"))
      .def("improve", &graphopt::Improver::improve, nb::arg("seconds"), nb::arg("limit"),
           nb::call_guard<nb::gil_scoped_release>())
      .def_prop_ro("finished", &graphopt::Improver::finished)
      .def_prop_ro("arena", &graphopt::Improver::arena)
      .def_prop_ro("bound", &graphopt::Improver::bound)
      .def_prop_ro("offsets", &graphopt::Improver::offsets);
  module.def("place_greedily", &place_greedily, nb::arg("buffers"), nb::arg("order"), nb::arg("best_fit"),
             nb::arg("seconds"), nb::call_guard<nb::gil_scoped_release>(),
             "Offsets in bytes, each buffer of the order at the lowest or tightest gap that is left.");
  module.def("place_outward", &place_outward, nb::arg("buffers"), nb::arg("stacking"),
             nb::call_guard<nb::gil_scoped_release>(),
             "Offsets in bytes, outwards from the peak; none if offsets are fixed or alignments differ.");
  bind_order(module);
  bind_ops(module);
  bind_program(module);
  module.def("hash128", &hash128, nb::arg("data"), "128-bit hash of the bytes of a C-contiguous buffer.");
}
