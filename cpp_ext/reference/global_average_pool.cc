// What global_average_pool computes.

#include "reference/pooling.h"

namespace graphopt {

void reference_global_average_pool(const Attributes& attributes, const std::vector<View>& inputs,
                                   const std::vector<View>& outputs) {
  const Dims& x = inputs[0].layout.dims;
  const Dims& y = outputs[0].layout.dims;
  const std::int64_t channels = x[-1];
  for (std::int64_t i = 0; i < y.count(); ++i) {
    const std::int64_t pixels = x.count() / channels / x[0];
    std::vector<std::int64_t> window;
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
      window.push_back((i / channels * pixels + pixel) * channels + i % channels);
    }
    reference::put_mean(attributes, inputs[0], window, pixels, outputs[0], i);
  }
}

}  // namespace graphopt
