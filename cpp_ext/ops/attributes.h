// What an operator is made from: named numbers, texts and constant arrays; what programs store.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "ops/tensor.h"

namespace graphopt {

// A constant array, dense.
struct Array {
  Type type = Type::kF32;
  Dims dims;
  std::vector<unsigned char> bytes;

  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
};

using Integers = std::vector<std::int64_t>;
using Numbers = std::vector<float>;
using Attribute = std::variant<Integers, Numbers, std::string, Array>;

// All getters throw Invalid, naming the attribute, if it is missing (and no fallback is given) or of another kind.
class Attributes {
 public:
  using Map = std::map<std::string, Attribute>;

  void set(const std::string& name, Attribute value) { all_[name] = std::move(value); }
  bool has(const std::string& name) const { return all_.count(name) != 0; }
  const Map& all() const { return all_; }

  std::int64_t integer(const std::string& name) const;
  std::int64_t integer(const std::string& name, std::int64_t fallback) const;
  // Of `low` to `high`, both included.
  std::int64_t integer_in(const std::string& name, std::int64_t low, std::int64_t high) const;
  const Integers& integers(const std::string& name) const;
  const Integers& integers(const std::string& name, std::size_t count) const;
  Integers integers(const std::string& name, std::size_t count, const Integers& fallback) const;
  // Finite.
  float number(const std::string& name) const;
  float number(const std::string& name, float fallback) const;
  const Numbers& numbers(const std::string& name) const;
  const std::string& text(const std::string& name) const;
  std::string text(const std::string& name, const std::string& fallback) const;
  const Array& array(const std::string& name, Type type) const;
  Type type(const std::string& name) const { return type_named(text(name)); }

  // Throws Invalid if there is an attribute of another name.
  void only(std::initializer_list<const char*> known, const std::vector<const char*>& more = {},
            const std::vector<const char*>& others = {}) const;

 private:
  template <typename Kind>
  const Kind& get(const std::string& name, const char* what) const;

  Map all_;
};

}  // namespace graphopt
