/*
 * Fibers: stacks of their own on one OS thread, switched by hand. On x86-64 a switch is ten instructions; elsewhere, or
 * with GOSSET_UCONTEXT, it is swapcontext. Tells AddressSanitizer where each stack lies.
 */
#ifndef GOSSET_FIBER_H
#define GOSSET_FIBER_H

#include <cstddef>

#if !defined(__x86_64__) && !defined(GOSSET_UCONTEXT)
#define GOSSET_UCONTEXT 1
#endif
#ifdef GOSSET_UCONTEXT
#include <ucontext.h>
#endif

namespace emulation {

class Fiber {
public:
    /* A fiber without a stack of its own: whoever calls resume first. */
    Fiber() = default;
    ~Fiber();
    Fiber(const Fiber &) = delete;
    Fiber &operator=(const Fiber &) = delete;

    /* Makes the next resume start entry on this fiber's stack; what ran there before is forgotten. */
    void start(void (*entry)());

    /* Leaves `from`, which must be running, and goes on here. Returns when somebody resumes `from`. */
    void resume(Fiber &from);

    /* To be called first in an entry. */
    static void arrived();

private:
    void *stack_ = nullptr;
    const void *bottom_ = nullptr;
    size_t size_ = 0;
#ifdef GOSSET_UCONTEXT
    ucontext_t context_ = {};
#else
    void *pointer_ = nullptr;
#endif
};

}  // namespace emulation

#endif
