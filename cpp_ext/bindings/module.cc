// The Python face of the C++ side: converts arguments, releases the lock, and does no work of its own.

#include <nanobind/nanobind.h>

#include "core/hash128.h"

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

}  // namespace

NB_MODULE(_native, module) {
  module.doc() = "Compiled parts of graphopt; use them through graphopt.native.";
  module.def("hash128", &hash128, nb::arg("data"), "128-bit hash of the bytes of a C-contiguous buffer.");
}
