// An accelerator in host memory whose copies are truly late: work that is queued on a stream is done when somebody
// waits for it, and not before. A host buffer that is reused too early, or a result that is read without waiting,
// shows as wrong bytes. Memory is limited, cached as torch's allocators cache it, and counted.

#include <ATen/EmptyTensor.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/as_strided_cpu_dispatch.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/set_cpu_dispatch.h>
#include <ATen/ops/view_native.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace {

constexpr auto kType = c10::DeviceType::PrivateUse1;
constexpr int kDevices = 2;

std::recursive_mutex lock;
thread_local c10::DeviceIndex current_device = 0;
thread_local std::map<c10::DeviceIndex, c10::StreamId> current_stream;

// --- streams -----------------------------------------------------------------------------------------------------

struct Queue {
  std::deque<std::function<void()>> work;
  uint64_t queued = 0;
  uint64_t done = 0;
};

struct Event {
  c10::StreamId stream = 0;
  uint64_t after = 0;
};

std::unordered_map<c10::StreamId, Queue> queues;
c10::StreamId next_stream = kDevices;

c10::StreamId here(c10::DeviceIndex device) {
  auto found = current_stream.find(device);
  return found == current_stream.end() ? device : found->second;
}

void enqueue(c10::DeviceIndex device, std::function<void()> work) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  auto& queue = queues[here(device)];
  queue.work.push_back(std::move(work));
  queue.queued++;
}

using Spent = std::deque<std::function<void()>>;

void run_locked(c10::StreamId stream, uint64_t until, Spent& spent) {
  while (queues[stream].done < until && !queues[stream].work.empty()) {
    spent.push_back(std::move(queues[stream].work.front()));
    queues[stream].work.pop_front();
    spent.back()();
    queues[stream].done++;
  }
}

void run(c10::StreamId stream, uint64_t until) {
  // What the work held is let go last, without the lock: it may belong to Python, whose lock another thread has.
  static thread_local Spent* outer = nullptr;
  if (outer != nullptr) return run_locked(stream, until, *outer);
  Spent spent;
  outer = &spent;
  {
    std::lock_guard<std::recursive_mutex> guard(lock);
    run_locked(stream, until, spent);
  }
  outer = nullptr;
}

void run_all(c10::StreamId stream) {
  run(stream, UINT64_MAX);
}

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kType; }
  c10::Device exchangeDevice(c10::Device device) const override {
    auto before = getDevice();
    setDevice(device);
    return before;
  }
  c10::Device getDevice() const override { return {kType, current_device}; }
  void setDevice(c10::Device device) const override { current_device = device.index(); }
  void uncheckedSetDevice(c10::Device device) const noexcept override { current_device = device.index(); }
  c10::DeviceIndex deviceCount() const noexcept override { return kDevices; }
  c10::Stream getStream(c10::Device device) const override {
    return c10::Stream(c10::Stream::UNSAFE, device, here(device.index()));
  }
  c10::Stream getDefaultStream(c10::Device device) const override {
    return c10::Stream(c10::Stream::UNSAFE, device, device.index());
  }
  c10::Stream getNewStream(c10::Device device, int) const override {
    std::lock_guard<std::recursive_mutex> guard(lock);
    return c10::Stream(c10::Stream::UNSAFE, device, next_stream++);
  }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    auto before = getStream(stream.device());
    current_stream[stream.device_index()] = stream.id();
    return before;
  }
  void record(void** event, const c10::Stream& stream, const c10::DeviceIndex, const c10::EventFlag) const override {
    std::lock_guard<std::recursive_mutex> guard(lock);
    if (*event == nullptr) *event = new Event;
    *static_cast<Event*>(*event) = {stream.id(), queues[stream.id()].queued};
  }
  void block(void* event, const c10::Stream& stream) const override {
    if (event == nullptr) return;
    std::lock_guard<std::recursive_mutex> guard(lock);
    auto point = *static_cast<Event*>(event);
    if (point.stream == stream.id()) return;
    queues[stream.id()].work.push_back([point] { run(point.stream, point.after); });
    queues[stream.id()].queued++;
  }
  bool queryEvent(void* event) const override {
    std::lock_guard<std::recursive_mutex> guard(lock);
    auto* point = static_cast<Event*>(event);
    return point == nullptr || queues[point->stream].done >= point->after;
  }
  void destroyEvent(void* event, const c10::DeviceIndex) const noexcept override { delete static_cast<Event*>(event); }
  void synchronizeEvent(void* event) const override {
    if (auto* point = static_cast<Event*>(event)) run(point->stream, point->after);
  }
  bool queryStream(const c10::Stream& stream) const override {
    std::lock_guard<std::recursive_mutex> guard(lock);
    return queues[stream.id()].work.empty();
  }
  void synchronizeStream(const c10::Stream& stream) const override { run_all(stream.id()); }
  void synchronizeDevice(const c10::DeviceIndex) const override {
    std::lock_guard<std::recursive_mutex> guard(lock);
    for (auto& one : queues) run_all(one.first);
  }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

// --- memory ------------------------------------------------------------------------------------------------------

struct Usage {
  size_t held = 0;
  size_t peak = 0;
  // Freed by tensors, and not given back.
  size_t cached = 0;
  size_t reserved_peak = 0;
  size_t limit = SIZE_MAX;
  void take(size_t bytes) {
    held += bytes;
    peak = std::max(peak, held);
    reserved_peak = std::max(reserved_peak, held + cached);
  }
};

Usage usage[kDevices];
Usage pinned;
std::map<const char*, size_t> pinned_blocks;
std::unordered_map<void*, std::pair<size_t, c10::DeviceIndex>> blocks;
// As torch's allocators do: a freed block is handed out again at once, whatever is still queued for it.
std::multimap<size_t, void*> freed;

void release(void* block) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  auto [bytes, device] = blocks[block];
  usage[device].held -= bytes;
  usage[device].cached += bytes;
  freed.emplace(bytes, block);
}

struct Memory final : c10::DeviceAllocator {
  c10::DataPtr allocate(size_t bytes) override {
    std::lock_guard<std::recursive_mutex> guard(lock);
    auto device = c10::Device(kType, current_device);
    auto& mine = usage[current_device];
    TORCH_CHECK_WITH(
        OutOfMemoryError, mine.held + bytes <= mine.limit, "standin out of memory. Tried to allocate ", bytes, " bytes.");
    if (bytes == 0) return {nullptr, nullptr, [](void*) {}, device};
    void* block;
    if (auto found = freed.find(bytes); found != freed.end()) {
      block = found->second;
      usage[blocks[block].second].cached -= bytes;
      freed.erase(found);
    } else {
      block = std::malloc(bytes);
      TORCH_CHECK(block, "no host memory");
    }
    // On the stream that it was taken on: another one that does not wait for it finds its bytes overwritten.
    enqueue(current_device, [block, bytes] { std::memset(block, 0xCD, bytes); });
    blocks[block] = {bytes, current_device};
    mine.take(bytes);
    return {block, block, &release, device};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t count) const override { std::memcpy(to, from, count); }
  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override {
    // As a driver does, which waits for all that is queued: some of it may write into what goes.
    std::vector<c10::StreamId> busy;
    {
      std::lock_guard<std::recursive_mutex> guard(lock);
      for (auto& one : queues) busy.push_back(one.first);
    }
    for (auto stream : busy) run_all(stream);
    std::lock_guard<std::recursive_mutex> guard(lock);
    for (auto& one : freed) {
      usage[blocks[one.second].second].cached -= one.first;
      blocks.erase(one.second);
      std::free(one.second);
    }
    freed.clear();
  }
  void recordStream(const c10::DataPtr&, c10::Stream) override {}
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex device) override {
    c10::CachingDeviceAllocator::DeviceStats stats;
    stats.allocated_bytes[0].current = static_cast<int64_t>(usage[device].held);
    stats.allocated_bytes[0].peak = static_cast<int64_t>(usage[device].peak);
    stats.reserved_bytes[0].current = static_cast<int64_t>(usage[device].held + usage[device].cached);
    stats.reserved_bytes[0].peak = static_cast<int64_t>(usage[device].reserved_peak);
    return stats;
  }
  void resetAccumulatedStats(c10::DeviceIndex) override {}
  void resetPeakStats(c10::DeviceIndex device) override {
    usage[device].peak = usage[device].held;
    usage[device].reserved_peak = usage[device].held + usage[device].cached;
  }
  std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex device) override {
    auto total = std::min(usage[device].limit, size_t(80) << 30);
    return {total - std::min(total, usage[device].held), total};
  }
};

Memory memory;
REGISTER_ALLOCATOR(kType, &memory);

struct Pinned final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    std::lock_guard<std::recursive_mutex> guard(lock);
    auto* block = static_cast<char*>(std::malloc(std::max<size_t>(bytes, 1)));
    pinned_blocks[block] = bytes;
    pinned.take(bytes);
    return {block, block, &give_back, c10::Device(c10::DeviceType::CPU)};
  }
  static void give_back(void* block) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    auto found = pinned_blocks.find(static_cast<char*>(block));
    pinned.held -= found->second;
    pinned_blocks.erase(found);
    std::free(block);
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, size_t count) const override { std::memcpy(to, from, count); }
};

Pinned pinned_memory;

bool is_pinned(const void* data) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  auto after = pinned_blocks.upper_bound(static_cast<const char*>(data));
  if (after == pinned_blocks.begin()) return false;
  auto& [start, bytes] = *std::prev(after);
  return static_cast<const char*>(data) < start + bytes;
}

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return kDevices; }
  c10::DeviceIndex getCurrentDevice() const override { return current_device; }
  void setCurrentDevice(c10::DeviceIndex device) const override { current_device = device; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex device) const override { return std::exchange(current_device, device); }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex device) const override { return exchangeDevice(device); }
  bool isPinnedPtr(const void* data) const override { return is_pinned(data); }
  c10::Allocator* getPinnedMemoryAllocator() const override { return &pinned_memory; }
};

// --- operators ---------------------------------------------------------------------------------------------------

at::Tensor on_host(const at::Tensor& tensor) {
  return at::from_blob(
      tensor.data_ptr(), tensor.sizes(), tensor.strides(), tensor.options().device(c10::DeviceType::CPU).pinned_memory(false));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  at::NoGradGuard no_grad;
  if (to.is_cpu()) {
    run_all(here(from.device().index()));
    const_cast<at::Tensor&>(to).copy_(on_host(from));
  } else if (from.is_cpu() && non_blocking && is_pinned(from.data_ptr()) && from.is_contiguous() && to.is_contiguous() &&
             from.dtype() == to.dtype()) {
    auto* target = to.data_ptr();
    auto bytes = from.nbytes();
    enqueue(to.device().index(), [from, target, bytes] { std::memcpy(target, from.data_ptr(), bytes); });
  } else {
    // What the host may change is taken at once; the room it goes to is named by its address alone.
    auto source = from.is_cpu() ? from.to(to.scalar_type()).clone() : on_host(from);
    auto target = on_host(to);
    enqueue(to.device().index(), [source, target]() mutable { target.copy_(source); });
    if (!non_blocking && from.is_cpu()) run_all(here(to.device().index()));
  }
  return to;
}

at::Tensor empty(
    c10::SymIntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>, std::optional<at::Device> device,
    std::optional<bool>, std::optional<at::MemoryFormat> format) {
  c10::DeviceGuard on(device && device->has_index() ? *device : c10::Device(kType, current_device));
  return at::detail::empty_generic(
      C10_AS_INTARRAYREF_SLOW(size), &memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
      c10::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(
    c10::SymIntArrayRef size, c10::SymIntArrayRef stride, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
    std::optional<at::Device> device, std::optional<bool>) {
  c10::DeviceGuard on(device && device->has_index() ? *device : c10::Device(kType, current_device));
  return at::detail::empty_strided_generic(
      C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), &memory,
      c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), c10::dtype_or_default(dtype));
}

at::Tensor& set_storage(
    at::Tensor& self, at::Storage storage, c10::SymInt offset, c10::SymIntArrayRef size, c10::SymIntArrayRef stride) {
  return at::cpu::set__symint(self, storage, offset, size, stride);
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (to.sizes() != from.sizes()) {
    auto fresh = at::empty(from.sizes(), to.options());
    to.unsafeGetTensorImpl()->set_storage_keep_dtype(fresh.storage());
    to.unsafeGetTensorImpl()->set_sizes_contiguous(from.sizes());
  }
  return copy_from(from, to, false);
}

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  at::native::cpu_fallback(op, stack);
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", &empty);
  m.impl("empty_strided", &empty_strided);
  m.impl("_copy_from", &copy_from);
  m.impl("_copy_from_and_resize", &copy_from_and_resize);
  m.impl("as_strided", &at::native::as_strided_tensorimpl);
  m.impl("view", &at::native::view);
  m.impl("set_.source_Storage_storage_offset", &set_storage);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

extern "C" {
void standin_register() {
  at::RegisterPrivateUse1HooksInterface(new Hooks);
}
void standin_limit(int device, size_t bytes) {
  usage[device].limit = bytes;
}
size_t standin_held(int device) {
  return usage[device].held;
}
size_t standin_pinned_peak() {
  return pinned.peak;
}
void standin_reset_peaks() {
  pinned.peak = pinned.held;
  for (auto& one : usage) one.peak = one.held;
}
}
