/* seccomp(2): what a filter that the program is about to install makes of the library's own system calls. It is run here as the kernel will
 * run it, with what is known of each call: its number, and arguments that are always the same. Where it asks for anything else, both
 * answers are followed. What is not understood, or takes too long, is not let pass. */
#include "filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include "stack.h"
#include "syscall.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif
#define ARGUMENTS 6
#define MOST_STEPS 1000000         /* for all calls: some milliseconds */
#define MOST_DEEP 24               /* questions that are open within another: each is a frame */

static const struct row {
    int call;                      /* enum ip_own_call */
    uint32_t number;
    uint8_t optional;
    uint8_t known;                 /* bits of arguments */
    uint32_t arguments[ARGUMENTS];
} rows[] = {IP_OWN_CALL_ROWS};

struct value {
    uint32_t number;
    int known;
};

struct machine {
    struct value a, x, memory[BPF_MEMWORDS];
};

struct run {
    const struct sock_filter *filter;
    uint32_t length;
    const struct row *row;
    uint32_t steps;                /* left, over all runs */
    int ends, refuses;             /* some way through the filter does not let the call pass; by nothing but an error */
};

static struct value known(uint32_t number)
{
    return (struct value){number, 1};
}

/* A word of struct seccomp_data. */
static struct value load(const struct row *row, uint32_t offset)
{
    if (offset == offsetof(struct seccomp_data, nr))
        return known(row->number);
    if (offset == offsetof(struct seccomp_data, arch))
        return known(ARCHITECTURE);
    if (offset < offsetof(struct seccomp_data, args))
        return (struct value){0};
    uint32_t at = offset - (uint32_t)offsetof(struct seccomp_data, args), place = at / 8;
    if (!(row->known >> place & 1))
        return (struct value){0};
    return known(at % 8 ? 0 : row->arguments[place]); /* the lower half comes first, and none has anything in the upper one */
}

static struct value calculate(uint16_t operation, struct value left, struct value right)
{
    if (!left.known || (operation != BPF_NEG && !right.known))
        return (struct value){0};
    switch (operation) {
    case BPF_ADD: return known(left.number + right.number);
    case BPF_SUB: return known(left.number - right.number);
    case BPF_MUL: return known(left.number * right.number);
    case BPF_OR: return known(left.number | right.number);
    case BPF_AND: return known(left.number & right.number);
    case BPF_XOR: return known(left.number ^ right.number);
    case BPF_NEG: return known(-left.number);
    case BPF_LSH: return right.number < 32 ? known(left.number << right.number) : (struct value){0};
    case BPF_RSH: return right.number < 32 ? known(left.number >> right.number) : (struct value){0};
    case BPF_DIV: return right.number ? known(left.number / right.number) : (struct value){0};
    default: return (struct value){0};
    }
}

static int compare(uint16_t operation, uint32_t left, uint32_t right)
{
    switch (operation) {
    case BPF_JEQ: return left == right;
    case BPF_JGT: return left > right;
    case BPF_JGE: return left >= right;
    default: return (left & right) != 0;
    }
}

static void conclude(struct run *run, struct value answer)
{
    uint32_t action = answer.number & SECCOMP_RET_ACTION_FULL;

    if (answer.known && action == SECCOMP_RET_ALLOW)
        return;
    run->refuses = 1;
    run->ends |= !answer.known || action != SECCOMP_RET_ERRNO;
}

/* Gives up: whatever the filter says there may be anything. */
static void give_up(struct run *run)
{
    run->ends = run->refuses = 1;
    run->steps = 0;
}

/* From `at` on, until each way has returned. A jump leads forward only, so all of them do. */
static void follow(struct run *run, struct machine machine, uint64_t at, int depth)
{
    while (at < run->length && run->steps && depth) {
        const struct sock_filter *one = &run->filter[at++];
        struct value operand = BPF_SRC(one->code) == BPF_X ? machine.x : known(one->k);
        run->steps--;
        switch (BPF_CLASS(one->code)) {
        case BPF_RET: conclude(run, BPF_RVAL(one->code) == BPF_A ? machine.a : known(one->k)); return;
        case BPF_LD:
        case BPF_LDX: {
            uint16_t mode = BPF_MODE(one->code);
            struct value loaded = mode == BPF_IMM   ? known(one->k)
                                  : mode == BPF_LEN ? known(sizeof(struct seccomp_data))
                                  : mode == BPF_MEM ? machine.memory[one->k % BPF_MEMWORDS]
                                  : mode == BPF_ABS ? load(run->row, one->k % sizeof(struct seccomp_data))
                                                    : (struct value){0};
            *(BPF_CLASS(one->code) == BPF_LD ? &machine.a : &machine.x) = loaded;
            break;
        }
        case BPF_ST: machine.memory[one->k % BPF_MEMWORDS] = machine.a; break;
        case BPF_STX: machine.memory[one->k % BPF_MEMWORDS] = machine.x; break;
        case BPF_ALU: machine.a = calculate(BPF_OP(one->code), machine.a, operand); break;
        case BPF_MISC: *(BPF_MISCOP(one->code) == BPF_TAX ? &machine.x : &machine.a) = BPF_MISCOP(one->code) == BPF_TAX ? machine.a : machine.x; break;
        default: /* BPF_JMP */
            if (BPF_OP(one->code) == BPF_JA) {
                at += one->k;
            } else if (machine.a.known && operand.known) {
                at += compare(BPF_OP(one->code), machine.a.number, operand.number) ? one->jt : one->jf;
            } else {
                follow(run, machine, at + one->jt, depth - 1);
                at += one->jf;
            }
        }
    }
    give_up(run);
}

/* The kernel refuses what cannot be read. It is looked at where it is, and so it may be changed by another thread until the kernel has it:
 * who does that to its own filter has no other one judged. */
static int is_readable(const struct sock_fprog *program)
{
    if (!program || !ip_sys_can_read(program) || !ip_sys_can_read((const char *)program + 8) || !program->len || program->len > BPF_MAXINSNS)
        return 0;
    const char *first = (const char *)program->filter, *last = (const char *)(program->filter + program->len) - 8;
    for (const char *at = first; at < last; at += 4096)
        if (!ip_sys_can_read(at))
            return 0;
    return ip_sys_can_read(last);
}

/* A filter and what is made of it. */
struct question {
    const struct sock_fprog *program;
    struct ip_filter_verdict verdict;
};

static void judge(void *memory)
{
    struct question *question = memory;
    const struct sock_fprog *program = question->program;
    struct ip_filter_verdict verdict;

    if (!is_readable(program))
        return;
    struct run run = {.filter = program->filter, .length = program->len, .steps = MOST_STEPS};
    verdict = (struct ip_filter_verdict){.harmless = 1};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        run.row = &rows[i];
        run.ends = run.refuses = 0;
        follow(&run, (struct machine){.a = known(0), .x = known(0)}, 0, MOST_DEEP);
        if (run.refuses)
            verdict.refused |= UINT64_C(1) << rows[i].call;
        if (run.ends || (run.refuses && !rows[i].optional))
            verdict.harmless = 0;
    }
    question->verdict = verdict;
}

struct ip_filter_verdict ip_filter_judge(const void *program)
{
    struct question question = {program, {.refused = ~UINT64_C(0)}};

    ip_with_stack(judge, &question);
    return question.verdict;
}
