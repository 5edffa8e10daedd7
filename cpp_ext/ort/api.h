// The few entries of onnxruntime's C interface that a library of operators needs, declared by their place in its
// table. The table only ever grows at its end, so what is built for one version runs in all later ones.
#pragma once

#include <cstddef>
#include <cstdint>

namespace graphopt::ort {

// Of onnxruntime 1.17, the first to lend its threads to operators of others.
constexpr std::uint32_t kApiVersion = 17;

// Types that are onnxruntime's alone to look into.
struct Status;
struct SessionOptions;
struct Domain;
struct KernelInfo;
struct KernelContext;
struct ShapeContext;
struct Value;
struct TensorInfo;
struct Allocator;

enum class Code : int { kFail = 1, kInvalidArgument = 2, kRuntimeException = 6 };
enum class Element : int { kUndefined = 0, kF32 = 1, kU8 = 2, kS8 = 3, kS32 = 6, kS64 = 7, kBool = 9 };
enum class Memory : int { kDefault = 0 };
enum class Arity : int { kOne = 0, kOptional = 1, kVariadic = 2 };

class Api {
 public:
  using Slot = void (*)();

  explicit Api(const Slot* slots) : slots_(slots) {}

  Status* status(Code code, const char* text) const { return call<0, Status*>(code, text); }
  const char* text(const Status* status) const { return call<2, const char*>(status); }
  void release(Status* status) const { call<93, void>(status); }

  Status* make_domain(const char* name, Domain** domain) const { return call<26, Status*>(name, domain); }
  // The operator outlives the domain, and the domain all options and sessions that it is added to.
  Status* add(Domain* domain, const struct Operator* op) const { return call<27, Status*>(domain, op); }
  Status* add(SessionOptions* options, Domain* domain) const { return call<28, Status*>(options, domain); }

  Status* allocator(Allocator** found) const { return call<78, Status*>(found); }
  // A new tensor, to be released.
  Status* attribute(const KernelInfo* info, const char* name, Allocator* allocator, Value** tensor) const {
    return call<236, Status*>(info, name, allocator, tensor);
  }
  void release(Value* value) const { call<96, void>(value); }

  Status* input_count(const KernelContext* context, std::size_t* count) const {
    return call<88, Status*>(context, count);
  }
  Status* output_count(const KernelContext* context, std::size_t* count) const {
    return call<89, Status*>(context, count);
  }
  // Null for an input that is left out.
  Status* input(const KernelContext* context, std::size_t index, const Value** value) const {
    return call<90, Status*>(context, index, value);
  }
  // Makes it, of those sizes; null for an output that is left out.
  Status* output(KernelContext* context, std::size_t index, const std::int64_t* sizes, std::size_t rank,
                 Value** value) const {
    return call<91, Status*>(context, index, sizes, rank, value);
  }
  // Calls task(data, i) for all i below `count`, on the threads of the session, and returns when all are done.
  Status* parallel(const KernelContext* context, void (*task)(void*, std::size_t), std::size_t count,
                   void* data) const {
    return call<274, Status*>(context, task, count, std::size_t{0}, data);
  }

  Status* data(Value* value, void** data) const { return call<51, Status*>(value, data); }
  Status* tensor_info(const Value* value, TensorInfo** info) const { return call<65, Status*>(value, info); }
  Status* element(const TensorInfo* info, Element* type) const { return call<60, Status*>(info, type); }
  Status* rank(const TensorInfo* info, std::size_t* rank) const { return call<61, Status*>(info, rank); }
  Status* sizes(const TensorInfo* info, std::int64_t* sizes, std::size_t rank) const {
    return call<62, Status*>(info, sizes, rank);
  }
  void release(TensorInfo* info) const { call<99, void>(info); }

 private:
  template <int Place, typename Result, typename... Arguments>
  Result call(Arguments... arguments) const {
    return reinterpret_cast<Result (*)(Arguments...)>(slots_[Place])(arguments...);
  }

  const Slot* slots_;
};

struct ApiBase {
  const Api::Slot* (*table)(std::uint32_t version);  // null if the version is not known
  const char* (*version)();
};

// What onnxruntime asks an operator; a version's entries follow those of the one before.
struct Operator {
  std::uint32_t version;
  void* (*make)(const Operator*, const Api::Slot*, const KernelInfo*);  // null: see make_or_fail
  const char* (*name)(const Operator*);
  const char* (*provider)(const Operator*);
  Element (*input_type)(const Operator*, std::size_t);
  std::size_t (*inputs)(const Operator*);
  Element (*output_type)(const Operator*, std::size_t);
  std::size_t (*outputs)(const Operator*);
  void (*compute)(void*, KernelContext*);  // null: see compute_or_fail
  void (*destroy)(void*);
  // 8
  Arity (*input_arity)(const Operator*, std::size_t);
  Arity (*output_arity)(const Operator*, std::size_t);
  // 13
  Memory (*input_memory)(const Operator*, std::size_t);
  // 14
  int (*fewest_inputs)(const Operator*);
  int (*inputs_alike)(const Operator*);
  int (*fewest_outputs)(const Operator*);
  int (*outputs_alike)(const Operator*);
  // 16
  Status* (*make_or_fail)(const Operator*, const Api::Slot*, const KernelInfo*, void**);
  Status* (*compute_or_fail)(void*, KernelContext*);
  // 17
  Status* (*infer_shapes)(const Operator*, ShapeContext*);
  int (*first_version)(const Operator*);
  int (*last_version)(const Operator*);
};

}  // namespace graphopt::ort
