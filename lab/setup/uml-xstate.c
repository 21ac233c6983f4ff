/*
 * Preloaded into User-Mode Linux 6.1, which keeps the floating point state of its processes in 2696 bytes and gives exactly
 * that much back. The kernel takes nothing but the whole area (arch/x86/kernel/fpu/regset.c, xstateregs_set: EFAULT
 * otherwise), and on processors with AMX that is 11 kB: the guest would panic at its first process. Here the rest, which no
 * process in the guest uses, is filled with what the kernel has. Declared by hand, so that no header package is needed.
 */
typedef unsigned long size;
struct iovec { void *base; size length; };
extern long syscall(long number, ...);
extern void *memcpy(void *to, const void *from, size length);

enum { SYS_ptrace = 101, GETREGSET = 0x4204, SETREGSET = 0x4205, NT_X86_XSTATE = 0x202 };

long ptrace(long request, long pid, void *address, void *data) {
  static char whole[65536];
  struct iovec area = { whole, sizeof whole };
  struct iovec *part = data;
  request = (int)request;
  if (request >= 1 && request <= 3) { /* PTRACE_PEEK*: the C library returns the word */
    long word = 0;
    long result = syscall(SYS_ptrace, request, pid, address, &word);
    return result < 0 ? result : word;
  }
  if (request != SETREGSET || (size)address != NT_X86_XSTATE) return syscall(SYS_ptrace, request, pid, address, data);
  if (syscall(SYS_ptrace, (long)GETREGSET, pid, address, &area) < 0) return -1;
  memcpy(whole, part->base, part->length < area.length ? part->length : area.length);
  return syscall(SYS_ptrace, request, pid, address, &area);
}
