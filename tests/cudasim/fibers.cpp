/*
 * tests/cudasim/fibers.cpp - one block at a time; each CUDA thread is a fiber. A thread that never waits runs to its end
 * on a stack that the next one takes over, so kernels without barriers cost little more than a loop.
 *
 * This file is built without -fsanitize=thread and tells the race detector itself what orders memory: barriers do,
 * shuffles do not.
 */
#include "tests/cudasim/cudasim_inner.h"

#include <cstdarg>
#include <sys/mman.h>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

#ifdef NS_CUDASIM_TSAN
extern "C" {
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
void __tsan_java_init(unsigned long begin, unsigned long size);
void __tsan_java_alloc(unsigned long p, unsigned long size);
}
#endif

namespace cudasim
{
enum { MAX_THREADS = 1024, STACK = 256 << 10, ARENA = 52 << 10, MAX_ARRAYS = 32, SHARED_MAX = 48 << 10 };
enum state { FRESH, READY, AT_BARRIER, IN_WARP, DONE };

struct fiber {
	enum state state;
	void *sp;
	char *stack;
	int kind, predicate, result; /* of its barrier */
	unsigned mask;		     /* of its warp's collective */
	exchange_fn *fn;
	uint64_t value, extra;
	const char *file;
	int line;
	void *tsan, *fake;
};

static struct machine {
	struct fiber fibers[MAX_THREADS];
	char *stacks[MAX_THREADS]; /* not in use */
	int free_stacks;
	char *memory, *arena; /* stacks and shared memory in one mapping */
	const char *kernel;
	unsigned threads, now, waiting;
	size_t used, asked, dynamic;
	struct {
		const void *key;
		char *at;
	} arrays[MAX_ARRAYS];
	int array_count;
	void *main_sp, *main_tsan, *main_fake;
	const void *main_stack;
	size_t main_size;
	void (*thread)(void *);
	void *context;
	char syncs[1 << 16]; /* addresses that stand for barriers */
	unsigned sync;
} m;

void wrong(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "cudasim: ");
	if (m.kernel)
		fprintf(stderr, "%s, block (%u,%u,%u), thread (%u,%u,%u): ", m.kernel, blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x,
			threadIdx.y, threadIdx.z);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

/* --- switching --- */

#if defined(__x86_64__)
extern "C" void cudasim_switch(void **save, void *to);
__asm__(".text\n.globl cudasim_switch\n.type cudasim_switch,@function\ncudasim_switch:\n"
	"push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
	"pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n"
	".size cudasim_switch,.-cudasim_switch\n");

static void *first_frame(char *stack, void (*entry)())
{
	void **sp = (void **)(stack + STACK);

	*--sp = NULL; /* rsp is 8 modulo 16 where a function begins */
	*--sp = (void *)entry;
	sp -= 6;
	memset(sp, 0, 6 * sizeof *sp);
	return sp;
}
#else
#error "a fiber switch for this processor is wanted: see cudasim_switch()"
#endif

static void place(unsigned t)
{
	m.now = t;
	threadIdx.x = t % blockDim.x;
	threadIdx.y = t / blockDim.x % blockDim.y;
	threadIdx.z = t / blockDim.x / blockDim.y;
}

static void to_main(int finished)
{
	struct fiber *f = &m.fibers[m.now];

#ifdef __SANITIZE_ADDRESS__
	__sanitizer_start_switch_fiber(finished ? NULL : &f->fake, m.main_stack, m.main_size);
#endif
#ifdef NS_CUDASIM_TSAN
	__tsan_switch_to_fiber(m.main_tsan, 1);
#endif
	(void)finished;
	cudasim_switch(&f->sp, m.main_sp);
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(f->fake, &m.main_stack, &m.main_size);
#endif
}

static void entry()
{
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(NULL, &m.main_stack, &m.main_size);
#endif
	m.thread(m.context);
	m.fibers[m.now].state = DONE;
	to_main(1);
	abort();
}

static void run(unsigned t)
{
	struct fiber *f = &m.fibers[t];

	place(t);
	if (f->state == FRESH) {
		f->stack = m.stacks[--m.free_stacks];
		UNPOISON(f->stack, STACK);
#ifdef NS_CUDASIM_TSAN
		__tsan_java_alloc((unsigned long)f->stack + STACK - 16384, 16384);
#endif
		f->sp = first_frame(f->stack, entry);
	}
	f->state = READY;
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_start_switch_fiber(&m.main_fake, f->stack, STACK);
#endif
#ifdef NS_CUDASIM_TSAN
	__tsan_switch_to_fiber(f->tsan, 1);
#endif
	cudasim_switch(&m.main_sp, f->sp);
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(m.main_fake, NULL, NULL);
#endif
	if (f->state == DONE)
		m.stacks[m.free_stacks++] = f->stack;
}

/* --- barriers --- */

/* what every thread in the set did before happens before what any of them does after */
static void order_memory(unsigned first, unsigned count, unsigned mask)
{
#ifdef NS_CUDASIM_TSAN
	void *here = __tsan_get_current_fiber(), *sync = &m.syncs[m.sync++ % sizeof m.syncs];
	unsigned i;

	__tsan_java_alloc((unsigned long)sync & ~7ul, 8);
	for (i = 0; i < count; i++)
		if (mask >> (i & 31) & 1) {
			__tsan_switch_to_fiber(m.fibers[first + i].tsan, 1);
			__tsan_release(sync);
		}
	for (i = 0; i < count; i++)
		if (mask >> (i & 31) & 1) {
			__tsan_switch_to_fiber(m.fibers[first + i].tsan, 1);
			__tsan_acquire(sync);
		}
	__tsan_switch_to_fiber(here, 1);
#else
	(void)first;
	(void)count;
	(void)mask;
#endif
}

int barrier(int predicate, int kind, const char *file, int line)
{
	struct fiber *f = &m.fibers[m.now];

	f->state = AT_BARRIER;
	f->kind = kind;
	f->predicate = predicate != 0;
	f->file = file;
	f->line = line;
	to_main(0);
	return f->result;
}

static void release_barrier()
{
	const struct fiber *f = &m.fibers[0];
	int count = 0, result;
	unsigned t;

	for (t = 0; t < m.threads; t++) {
		const struct fiber *g = &m.fibers[t];

		if (g->file != f->file || g->line != f->line || g->kind != f->kind) {
			place(t);
			wrong("waits at the barrier %s:%d, but thread 0 at %s:%d: a barrier in both branches", g->file, g->line, f->file,
			      f->line);
		}
		count += g->predicate;
	}
	result = f->kind == 1 ? count > 0 : f->kind == 2 ? count == (int)m.threads : count;
	order_memory(0, m.threads, 0xffffffffu);
	for (t = 0; t < m.threads; t++) {
		m.fibers[t].result = result;
		m.fibers[t].state = READY;
	}
}

/* --- warps --- */

static void nothing(unsigned, const uint64_t *, const uint64_t *, uint64_t *)
{
}

unsigned lane()
{
	return m.now % 32;
}

uint64_t exchange(unsigned mask, exchange_fn *fn, uint64_t value, uint64_t extra, const char *file, int line)
{
	unsigned first = m.now / 32 * 32, i, arrived = 0;
	struct fiber *f = &m.fibers[m.now];
	uint64_t in[32] = {0}, more[32] = {0}, out[32] = {0};

	if (!(mask >> lane() & 1))
		wrong("%s:%d: lane %u is not in its own mask %08x", file, line, lane(), mask);
	*f = {IN_WARP, f->sp, f->stack, f->kind, f->predicate, f->result, mask, fn, value, extra, file, line, f->tsan, f->fake};
	for (i = 0; i < 32 && first + i < m.threads; i++) {
		const struct fiber *g = &m.fibers[first + i];

		if (!(mask >> i & 1))
			continue;
		if (g->state == DONE)
			wrong("%s:%d: lane %u of the mask %08x has left the kernel", file, line, i, mask);
		if (g->state == IN_WARP && (g->mask != mask || g->fn != fn) && (g->mask >> lane() & 1))
			wrong("%s:%d: lane %u waits with mask %08x at %s:%d", file, line, i, g->mask, g->file, g->line);
		arrived |= (g->state == IN_WARP && g->mask == mask && g->fn == fn ? 1u : 0u) << i;
		in[i] = g->value;
		more[i] = g->extra;
	}
	if (mask != 0xffffffffu && first + 32 > m.threads && mask >> (m.threads - first))
		wrong("%s:%d: mask %08x names lanes that the block does not have", file, line, mask);
	if (first + 32 > m.threads && mask == 0xffffffffu && m.threads % 32)
		wrong("%s:%d: a full mask, but this warp has %u lanes", file, line, m.threads - first);
	if (arrived != mask) {
		to_main(0);
		return f->value;
	}
	fn(mask, in, more, out);
	if (fn != nothing)
		for (i = 0; i < 32; i++)
			if (mask >> i & 1) {
				m.fibers[first + i].value = out[i];
				m.fibers[first + i].state = READY;
			}
	return f->value;
}

void shuffle_from(unsigned mask, const uint64_t *in, const uint64_t *extra, uint64_t *out)
{
	int i;

	for (i = 0; i < 32; i++)
		if (mask >> i & 1) {
			if (!(mask >> extra[i] & 1))
				wrong("a shuffle reads lane %u, which is not in its mask %08x", (unsigned)extra[i], mask);
			out[i] = in[extra[i]];
		}
}

void vote(unsigned mask, const uint64_t *in, const uint64_t *extra, uint64_t *out)
{
	uint64_t all = 0;
	int i;

	(void)extra;
	for (i = 0; i < 32; i++)
		if (mask >> i & 1)
			all |= in[i] << i;
	for (i = 0; i < 32; i++)
		out[i] = all;
}

/* as an exchange of nothing, and the only one that orders memory */
void warp_barrier(unsigned mask, const char *file, int line)
{
	unsigned first = m.now / 32 * 32, i;

	if (mask == 0xffffffffu && first + 32 > m.threads)
		mask >>= first + 32 - m.threads;
	exchange(mask, nothing, 0, 0, file, line);
	if (m.fibers[m.now].state != IN_WARP)
		return;
	order_memory(first, first + 32 > m.threads ? m.threads - first : 32, mask);
	for (i = 0; i < 32; i++)
		if (mask >> i & 1)
			m.fibers[first + i].state = READY;
}

/* --- shared memory --- */

static void *carve(size_t bytes)
{
	volatile char *fill; /* not memset: the race detector would take it for the kernel's */
	char *at = m.arena + m.used;

	m.used += (bytes + 63) / 32 * 32; /* at least 32 poisoned bytes between arrays */
	m.asked += bytes;
	if (m.asked > SHARED_MAX)
		wrong("%zu bytes of shared memory; a launch has %d unless it asks for more", m.asked, SHARED_MAX);
	UNPOISON(at, bytes);
	for (fill = at; fill < at + bytes; fill++)
		*fill = (char)0xff;
	FORGET(at, bytes);
	return at;
}

void *shared_array(const void *key, size_t bytes)
{
	int i;

	for (i = 0; i < m.array_count; i++)
		if (m.arrays[i].key == key)
			return m.arrays[i].at;
	if (m.array_count == MAX_ARRAYS)
		wrong("more than %d shared arrays", MAX_ARRAYS);
	m.arrays[i].key = key;
	m.arrays[i].at = (char *)carve(bytes);
	m.array_count++;
	return m.arrays[i].at;
}

void *shared_dynamic()
{
	if (!m.dynamic)
		wrong("the launch gave no dynamic shared memory");
	return m.arena;
}

/* --- blocks --- */

static void begin_block(size_t shared)
{
	unsigned t;

	UNPOISON(m.arena, ARENA);
#ifdef NS_CUDASIM_TSAN
	__tsan_java_alloc((unsigned long)m.arena, ARENA);
#endif
	POISON(m.arena, ARENA);
	m.array_count = 0;
	m.used = m.asked = 0;
	m.dynamic = shared;
	if (shared)
		carve(shared);
	for (t = 0; t < m.threads; t++) {
		m.fibers[t].state = FRESH;
#ifdef NS_CUDASIM_TSAN
		if (!m.fibers[t].tsan) /* kept: making one takes milliseconds; so threads of one number do not race between blocks */
			m.fibers[t].tsan = __tsan_create_fiber(0);
		__tsan_switch_to_fiber(m.fibers[t].tsan, 1);
		__tsan_acquire(&m.syncs[0]);
		__tsan_switch_to_fiber(m.main_tsan, 1);
#endif
	}
}

static void stuck()
{
	unsigned t;

	for (t = 0; t < m.threads; t++) {
		const struct fiber *f = &m.fibers[t];

		if (f->state == IN_WARP || f->state == AT_BARRIER) {
			place(t);
			wrong("waits for ever at %s:%d (%s): other threads have left, or wait elsewhere", f->file, f->line,
			      f->state == IN_WARP ? "a warp" : "a barrier");
		}
	}
	wrong("no thread can go on");
}

static void run_block()
{
	unsigned order[MAX_THREADS], i, done = 0;

	make_order(order, m.threads);
	while (done < m.threads) {
		unsigned moved = 0, at_barrier = 0;

		for (i = 0, done = 0; i < m.threads; i++) {
			struct fiber *f = &m.fibers[order[i]];

			if (f->state == FRESH || f->state == READY) {
				run(order[i]);
				moved++;
			}
		}
		for (i = 0; i < m.threads; i++) {
			done += m.fibers[i].state == DONE;
			at_barrier += m.fibers[i].state == AT_BARRIER;
			moved += m.fibers[i].state == READY;
		}
		if (at_barrier == m.threads)
			release_barrier();
		else if (!moved && done < m.threads)
			stuck();
	}
}

static void start_machine()
{
	size_t bytes = (size_t)MAX_THREADS * (STACK + 4096) + ARENA + 4096;
	int i;

	m.memory = (char *)mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m.memory == MAP_FAILED)
		wrong("no memory for stacks");
	for (i = 0; i < MAX_THREADS; i++) {
		m.stacks[MAX_THREADS - 1 - i] = m.memory + (size_t)i * (STACK + 4096) + 4096;
		mprotect(m.memory + (size_t)i * (STACK + 4096), 4096, PROT_NONE);
	}
	m.free_stacks = MAX_THREADS;
	m.arena = m.memory + (size_t)MAX_THREADS * (STACK + 4096);
#ifdef NS_CUDASIM_TSAN
	__tsan_java_init((unsigned long)m.memory, bytes);
#endif
}

void run_grid(const char *kernel, dim3 grid, dim3 block, size_t shared, void (*thread)(void *), void *context)
{
	unsigned blocks = grid.x * grid.y * grid.z, i, *order;

	if (!m.memory)
		start_machine();
	order = (unsigned *)malloc(blocks * sizeof *order);
	make_order(order, blocks);
	m.kernel = kernel;
	m.thread = thread;
	m.context = context;
	m.threads = block.x * block.y * block.z;
	blockDim = block;
	gridDim = grid;
#ifdef NS_CUDASIM_TSAN
	m.main_tsan = __tsan_get_current_fiber();
	__tsan_release(&m.syncs[0]);
	m.sync = 8;
#endif
	for (i = 0; i < blocks; i++) {
		unsigned b = order[i], t;

		blockIdx.x = b % grid.x;
		blockIdx.y = b / grid.x % grid.y;
		blockIdx.z = b / grid.x / grid.y;
		begin_block(shared);
		run_block();
		(void)t;
#ifdef NS_CUDASIM_TSAN
		for (t = 0; t < m.threads; t++) {
			__tsan_switch_to_fiber(m.fibers[t].tsan, 1);
			__tsan_release(&m.syncs[1]);
			__tsan_switch_to_fiber(m.main_tsan, 1);
		}
#endif
	}
#ifdef NS_CUDASIM_TSAN
	__tsan_acquire(&m.syncs[1]);
#endif
	m.kernel = NULL;
	free(order);
}
} // namespace cudasim
