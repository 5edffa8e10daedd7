// Attributes by name and kind, each misuse told by name.

#include "ops/attributes.h"

#include <algorithm>
#include <cmath>

namespace graphopt {

template <typename Kind>
const Kind& Attributes::get(const std::string& name, const char* what) const {
  const auto found = all_.find(name);
  if (found == all_.end()) throw Invalid("attribute '" + name + "' is missing");
  const Kind* value = std::get_if<Kind>(&found->second);
  if (value == nullptr) throw Invalid("attribute '" + name + "' is not " + what);
  return *value;
}

std::int64_t Attributes::integer(const std::string& name) const { return integers(name, 1)[0]; }

std::int64_t Attributes::integer(const std::string& name, std::int64_t fallback) const {
  return has(name) ? integer(name) : fallback;
}

std::int64_t Attributes::integer_in(const std::string& name, std::int64_t low, std::int64_t high) const {
  const std::int64_t value = integer(name);
  if (value < low || value > high) {
    throw Invalid("attribute '" + name + "' is " + std::to_string(value) + ", outside " + std::to_string(low) + ".." +
                  std::to_string(high));
  }
  return value;
}

const Integers& Attributes::integers(const std::string& name) const { return get<Integers>(name, "integers"); }

const Integers& Attributes::integers(const std::string& name, std::size_t count) const {
  const Integers& value = integers(name);
  if (value.size() != count) {
    throw Invalid("attribute '" + name + "' has " + std::to_string(value.size()) + " integers, not " +
                  std::to_string(count));
  }
  return value;
}

Integers Attributes::integers(const std::string& name, std::size_t count, const Integers& fallback) const {
  return has(name) ? integers(name, count) : fallback;
}

float Attributes::number(const std::string& name) const {
  const Numbers& value = numbers(name);
  if (value.size() != 1) throw Invalid("attribute '" + name + "' is not one number");
  return value[0];
}

float Attributes::number(const std::string& name, float fallback) const { return has(name) ? number(name) : fallback; }

const Numbers& Attributes::numbers(const std::string& name) const {
  const Numbers& value = get<Numbers>(name, "numbers");
  for (const float each : value) {
    if (!std::isfinite(each)) throw Invalid("attribute '" + name + "' is not finite");
  }
  return value;
}

const std::string& Attributes::text(const std::string& name) const { return get<std::string>(name, "a text"); }

std::string Attributes::text(const std::string& name, const std::string& fallback) const {
  return has(name) ? text(name) : fallback;
}

const Array& Attributes::array(const std::string& name, Type type) const {
  const Array& value = get<Array>(name, "an array");
  if (value.type != type) throw Invalid("attribute '" + name + "' is of " + name_of(value.type) + ", not " + name_of(type));
  return value;
}

void Attributes::only(std::initializer_list<const char*> known, const std::vector<const char*>& more,
                      const std::vector<const char*>& others) const {
  for (const auto& [name, value] : all_) {
    const auto in = [&name = name](const auto& list) {
      return std::any_of(list.begin(), list.end(), [&](const char* each) { return name == each; });
    };
    if (!in(known) && !in(more) && !in(others)) throw Invalid("no attribute is named '" + name + "'");
  }
}

}  // namespace graphopt
