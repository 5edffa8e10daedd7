// graphopt.Program, an operator of onnxruntime: the attribute `program`, a tensor of bytes, holds a saved Program, which
// the node's inputs and outputs are those of. It runs on the session's own threads.

#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "engine/program.h"
#include "ort/api.h"
#include "threads/pool.h"

#if defined(_WIN32)
#define GRAPHOPT_EXPORT __declspec(dllexport)
#else
#define GRAPHOPT_EXPORT __attribute__((visibility("default")))
#endif

namespace graphopt::ort {

namespace {

class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws what a call of onnxruntime's says, if it says anything.
void check(const Api& api, Status* status) {
  if (status == nullptr) return;
  const std::string text = api.text(status);
  api.release(status);
  throw Failure(text);
}

// What went wrong, as onnxruntime is told it.
template <typename Work>
Status* guarded(const Api& api, const Work& work) {
  try {
    work();
    return nullptr;
  } catch (const std::bad_alloc&) {
    return api.status(Code::kRuntimeException, "graphopt.Program: out of memory");
  } catch (const Invalid& error) {
    return api.status(Code::kInvalidArgument, (std::string("graphopt.Program: ") + error.what()).c_str());
  } catch (const std::exception& error) {
    return api.status(Code::kFail, (std::string("graphopt.Program: ") + error.what()).c_str());
  }
}

Type type_of(Element element) {
  switch (element) {
    case Element::kF32: return Type::kF32;
    case Element::kU8: return Type::kU8;
    case Element::kS8: return Type::kS8;
    case Element::kS32: return Type::kS32;
    case Element::kS64: return Type::kS64;
    case Element::kBool: return Type::kBool;
    default: throw Invalid("it has an input or output of a type that programs do not know");
  }
}

Layout layout_of(const Api& api, const Value* value) {
  TensorInfo* raw = nullptr;
  check(api, api.tensor_info(value, &raw));
  const auto release = [&api](TensorInfo* info) { api.release(info); };
  const std::unique_ptr<TensorInfo, decltype(release)> info(raw, release);
  Element element = Element::kUndefined;
  std::size_t rank = 0;
  check(api, api.element(raw, &element));
  check(api, api.rank(raw, &rank));
  std::vector<std::int64_t> sizes(rank);
  check(api, api.sizes(raw, sizes.data(), rank));
  return {type_of(element), Dims(sizes)};
}

void* data_of(const Api& api, const Value* value) {
  void* data = nullptr;
  check(api, api.data(const_cast<Value*>(value), &data));
  return data;
}

// A session's threads, for the time of one call.
class Lender {
 public:
  Lender(const Api& api, const KernelContext* context) : api_(api), context_(context) {}

  static void share(const void* lender, std::int64_t blocks, ThreadPool::Call call, const void* task) {
    const auto* self = static_cast<const Lender*>(lender);
    std::pair<ThreadPool::Call, const void*> shared(call, task);
    const auto block = [](void* data, std::size_t index) {
      const auto* each = static_cast<const std::pair<ThreadPool::Call, const void*>*>(data);
      each->first(each->second, static_cast<std::int64_t>(index));
    };
    check(self->api_, self->api_.parallel(self->context_, block, static_cast<std::size_t>(blocks), &shared));
  }

 private:
  const Api& api_;
  const KernelContext* context_;
};

class Kernel {
 public:
  Kernel(const Api& api, const KernelInfo* info) : api_(api), program_(load(api, info)) {}

  const Api& api() const { return api_; }

  void compute(KernelContext* context) const {
    const std::vector<Port>& ports = program_->inputs();
    std::size_t count = 0;
    check(api_, api_.input_count(context, &count));
    if (count != ports.size()) {
      throw Invalid("the node has " + std::to_string(count) + " inputs, its program " + std::to_string(ports.size()));
    }
    std::vector<const void*> inputs(count);
    std::vector<Dims> shapes;
    for (std::size_t i = 0; i < count; ++i) {
      const Value* value = nullptr;
      check(api_, api_.input(context, i, &value));
      if (value == nullptr) throw Invalid("input '" + ports[i].name + "' is left out");
      const Layout layout = layout_of(api_, value);
      if (layout.type != ports[i].type) {
        throw Invalid("input '" + ports[i].name + "' is of the type " + name_of(layout.type) + ", not " +
                      name_of(ports[i].type));
      }
      shapes.push_back(layout.dims);
      inputs[i] = data_of(api_, value);
    }
    const std::shared_ptr<const BoundProgram> bound = program_->bind(shapes.data());
    const Layouts& made = bound->outputs();
    check(api_, api_.output_count(context, &count));
    if (count != made.size()) {
      throw Invalid("the node has " + std::to_string(count) + " outputs, its program " + std::to_string(made.size()));
    }
    std::vector<void*> outputs(count);
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<std::int64_t> sizes;
      for (int axis = 0; axis < made[i].dims.rank(); ++axis) sizes.push_back(made[i].dims[axis]);
      Value* value = nullptr;
      check(api_, api_.output(context, i, sizes.data(), sizes.size(), &value));
      if (value == nullptr) throw Invalid("an output is left out");
      // A model may declare what it likes, and onnxruntime makes what it declares.
      const Type type = layout_of(api_, value).type;
      if (type != made[i].type) {
        throw Invalid("output '" + program_->outputs()[i].name + "' is declared as " + name_of(type) + ", and is " +
                      name_of(made[i].type));
      }
      outputs[i] = data_of(api_, value);
    }
    const Lender lender(api_, context);
    ThreadPool pool(&Lender::share, &lender);
    bound->run(inputs.data(), outputs.data(), pool);
  }

 private:
  static std::shared_ptr<const Program> load(const Api& api, const KernelInfo* info) {
    Allocator* allocator = nullptr;
    check(api, api.allocator(&allocator));
    Value* raw = nullptr;
    check(api, api.attribute(info, "program", allocator, &raw));
    const auto release = [&api](Value* value) { api.release(value); };
    const std::unique_ptr<Value, decltype(release)> tensor(raw, release);
    const Layout layout = layout_of(api, raw);
    if (layout.type != Type::kU8) throw Invalid("the attribute program is not of bytes");
    return Program::load(data_of(api, raw), layout.bytes());
  }

  Api api_;
  std::shared_ptr<const Program> program_;
};

Status* make(const Operator*, const Api::Slot* slots, const KernelInfo* info, void** kernel) {
  const Api api(slots);
  return guarded(api, [&] { *kernel = new Kernel(api, info); });
}

Status* compute(void* kernel, KernelContext* context) {
  const auto* self = static_cast<const Kernel*>(kernel);
  return guarded(self->api(), [&] { self->compute(context); });
}

Operator program_operator() {
  Operator op{};
  op.version = kApiVersion;
  op.name = [](const Operator*) { return "Program"; };
  op.provider = [](const Operator*) -> const char* { return nullptr; };  // the processor's
  op.inputs = op.outputs = [](const Operator*) -> std::size_t { return 1; };
  op.input_type = op.output_type = [](const Operator*, std::size_t) { return Element::kUndefined; };  // any
  op.input_arity = op.output_arity = [](const Operator*, std::size_t) { return Arity::kVariadic; };
  op.input_memory = [](const Operator*, std::size_t) { return Memory::kDefault; };
  op.fewest_inputs = op.fewest_outputs = [](const Operator*) { return 1; };
  op.inputs_alike = op.outputs_alike = [](const Operator*) { return 0; };
  op.make_or_fail = &make;
  op.compute_or_fail = &compute;
  op.destroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  return op;
}

// Made once for each onnxruntime in the process, and never freed: options and sessions may outlive everything else.
Domain* domain_of(const ApiBase* base, const Api& api) {
  static const Operator op = program_operator();
  static std::mutex lock;
  static std::vector<std::pair<const ApiBase*, Domain*>> made;
  const std::lock_guard<std::mutex> locked(lock);
  for (const auto& [owner, domain] : made) {
    if (owner == base) return domain;
  }
  Domain* domain = nullptr;
  check(api, api.make_domain("graphopt", &domain));
  check(api, api.add(domain, &op));
  made.emplace_back(base, domain);
  return domain;
}

}  // namespace

}  // namespace graphopt::ort

// What onnxruntime looks for in a library of operators.
extern "C" GRAPHOPT_EXPORT graphopt::ort::Status* RegisterCustomOps(graphopt::ort::SessionOptions* options,
                                                                     const graphopt::ort::ApiBase* base) {
  using namespace graphopt::ort;
  const Api::Slot* slots = base->table(kApiVersion);
  if (slots == nullptr) {
    slots = base->table(1);  // enough to say so
    return Api(slots).status(Code::kFail, "graphopt.Program needs onnxruntime 1.17 or newer");
  }
  const Api api(slots);
  return guarded(api, [&] { check(api, api.add(options, domain_of(base, api))); });
}
