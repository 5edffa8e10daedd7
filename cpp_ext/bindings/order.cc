#include "bindings/order.h"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "core/order/problem.h"
#include "core/order/window.h"

namespace nb = nanobind;

void bind_order(nb::module_& module) {
  using graphopt::Bits;
  using graphopt::OrderFound;
  using graphopt::OrderLimits;
  using graphopt::OrderMove;
  using graphopt::OrderProblem;
  using graphopt::OrderTrace;
  using graphopt::OrderWindow;
  using Shared = std::vector<graphopt::SharedPiece>;
  nb::class_<OrderMove>(module, "OrderMove", "What running a step does to memory.")
      .def(nb::new_([](graphopt::Bits needs, graphopt::Bits leads, std::int64_t brings, std::int64_t frees,
                       std::int64_t scratch, Shared brings_first, Shared frees_last,
                       std::vector<graphopt::TakeOver> takes_over) {
             return OrderMove{std::move(needs),        std::move(leads),      brings,
                              frees,                   scratch,               std::move(brings_first),
                              std::move(frees_last), std::move(takes_over)};
           }),
           nb::arg("needs"), nb::arg("leads"), nb::arg("brings"), nb::arg("frees"), nb::arg("scratch"),
           nb::arg("brings_first"), nb::arg("frees_last"), nb::arg("takes_over"));
  nb::class_<OrderWindow>(module, "OrderWindow", "Steps to be put in an order.")
      .def(nb::new_([](std::vector<OrderMove> moves, std::int64_t alive, std::int64_t bound) {
             return OrderWindow{std::move(moves), alive, bound};
           }),
           nb::arg("moves"), nb::arg("alive"), nb::arg("bound"));
  nb::class_<OrderFound>(module, "OrderFound", "An order, or what is known about all.")
      .def_ro("peak", &OrderFound::peak)
      .def_ro("steps", &OrderFound::steps)
      .def_ro("proved", &OrderFound::proved)
      .def_ro("states", &OrderFound::states);
  module.def(
      "search_order",
      [](const OrderWindow& window, std::int64_t peak, std::int64_t states, double seconds) {
        return graphopt::search_order(window, OrderLimits{peak, states, seconds});
      },
      nb::arg("window"), nb::arg("peak"), nb::arg("states"), nb::arg("seconds"),
      nb::call_guard<nb::gil_scoped_release>(), "The order with the lowest peak, if one is below the limit.");
  module.def(
      "beam_order",
      [](const OrderWindow& window, int width, std::int64_t peak, std::int64_t states, double seconds) {
        return graphopt::beam_order(window, width, OrderLimits{peak, states, seconds});
      },
      nb::arg("window"), nb::arg("width"), nb::arg("peak"), nb::arg("states"), nb::arg("seconds"),
      nb::call_guard<nb::gil_scoped_release>(), "A good order, if one is met below the limit.");
  nb::class_<OrderProblem>(module, "OrderProblem", "Steps, and pieces of memory with their bytes.")
      .def(nb::new_([](std::vector<Bits> before, std::vector<std::int64_t> sizes, std::vector<Bits> makers,
                       std::vector<Bits> users, const std::vector<bool>& kept, std::vector<std::int64_t> scratch,
                       std::vector<int> target, std::vector<Bits> sources) {
             return OrderProblem{std::move(before),  std::move(sizes),
                                 std::move(makers),  std::move(users),
                                 {kept.begin(), kept.end()}, std::move(scratch),
                                 std::move(target),  std::move(sources)};
           }),
           nb::arg("before"), nb::arg("sizes"), nb::arg("makers"), nb::arg("users"), nb::arg("kept"),
           nb::arg("scratch"), nb::arg("target"), nb::arg("sources"));
  nb::class_<OrderTrace>(module, "OrderTrace", "What an order of steps needs.")
      .def_ro("peak", &OrderTrace::peak)
      .def_ro("needs", &OrderTrace::needs)
      .def_ro("leaves", &OrderTrace::leaves)
      .def_ro("hosts", &OrderTrace::hosts)
      .def_ro("lower", &OrderTrace::lower)
      .def_ro("upper", &OrderTrace::upper);
  module.def("trace_order", &graphopt::trace_order, nb::arg("problem"), nb::arg("order"),
             "Follow an order and count bytes.");
  module.def(
      "order_greedily",
      [](const OrderProblem& problem, int rule, int compared) {
        return graphopt::order_greedily(problem, static_cast<graphopt::OrderRule>(rule), compared);
      },
      nb::arg("problem"), nb::arg("rule"), nb::arg("compared"),
      "The order that always runs the ready step a rule likes best.");
}
