// Ranges and scales of codes, as attributes give them.
#pragma once

#include "ops/attributes.h"

namespace graphopt {

struct CodeRange {
  std::int64_t low;
  std::int64_t high;
};

// u8: 0..255, s8: -128..127. Throws Invalid for other types.
CodeRange range_of(Type type);

// A type of codes. Throws Invalid, naming the attribute.
Type code_type(const Attributes& attributes, const std::string& name);

// Attribute `name`, above 0.
float scale_of(const Attributes& attributes, const std::string& name);

// Attribute `name`, one of the codes of `type`.
int zero_of(const Attributes& attributes, const std::string& name, Type type);

// The attributes `low_name` and `high_name`, codes of `type`, or else its range.
CodeRange bounds_of(const Attributes& attributes, const std::string& low_name, const std::string& high_name, Type type);

// 256 bytes.
std::vector<unsigned char> table_of_codes(const Attributes& attributes, const std::string& name);

// f32[count], or f32[1] for all; finite and above 0.
std::vector<float> scales_by_column(const Attributes& attributes, const std::string& name, std::int64_t count);

// s32[count], or s32[1] for all, or zeros if it is missing.
std::vector<std::int32_t> integers_by_column(const Attributes& attributes, const std::string& name,
                                             std::int64_t count);

}  // namespace graphopt
