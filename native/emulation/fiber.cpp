#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulation {

namespace {
/* Kernels keep their arrays in registers on the device, so little stack does; sanitizers pad frames generously. */
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackBytes = 256 * 1024;
#else
constexpr size_t kStackBytes = 64 * 1024;
#endif

#if defined(__SANITIZE_ADDRESS__)
/* The fiber that was left in the running switch. */
const void **left_bottom = nullptr;
size_t *left_size = nullptr;
#endif
}  // namespace

#ifndef GOSSET_UCONTEXT
/* Saves what the System V ABI makes the callee keep, swaps stacks, restores. */
extern "C" void gosset_fiber_switch(void **save, void *load);
asm(R"(
.text
.globl gosset_fiber_switch
.hidden gosset_fiber_switch
.type gosset_fiber_switch,@function
gosset_fiber_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size gosset_fiber_switch,.-gosset_fiber_switch
)");
#endif

Fiber::~Fiber() {
    if (stack_ != nullptr) {
#if defined(__SANITIZE_ADDRESS__)
        ASAN_UNPOISON_MEMORY_REGION(stack_, kStackBytes);
#endif
        munmap(stack_, kStackBytes);
    }
}

void Fiber::start(void (*entry)()) {
    if (stack_ == nullptr) {
        stack_ = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (stack_ == MAP_FAILED) {
            abort();
        }
        bottom_ = stack_;
        size_ = kStackBytes;
    }
#if defined(__SANITIZE_ADDRESS__)
    /* A fiber that was abandoned in the middle leaves its frames' red zones behind. */
    ASAN_UNPOISON_MEMORY_REGION(stack_, kStackBytes);
#endif
#ifdef GOSSET_UCONTEXT
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_;
    context_.uc_stack.ss_size = kStackBytes;
    context_.uc_link = nullptr;
    makecontext(&context_, entry, 0);
#else
    /* The switch pops six registers and returns to entry; the ABI wants rsp = 8 mod 16 there. */
    auto *top = reinterpret_cast<uintptr_t *>(static_cast<char *>(stack_) + kStackBytes);
    *--top = 0;
    *--top = reinterpret_cast<uintptr_t>(entry);
    for (int i = 0; i < 6; i++) {
        *--top = 0;
    }
    pointer_ = top;
#endif
}

void Fiber::resume(Fiber &from) {
#if defined(__SANITIZE_ADDRESS__)
    void *fake = nullptr;
    left_bottom = &from.bottom_;
    left_size = &from.size_;
    __sanitizer_start_switch_fiber(&fake, bottom_, size_);
#endif
#ifdef GOSSET_UCONTEXT
    swapcontext(&from.context_, &context_);
#else
    gosset_fiber_switch(&from.pointer_, pointer_);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, left_bottom, left_size);
#endif
}

void Fiber::arrived() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, left_bottom, left_size);
#endif
}

}  // namespace emulation
