/* Finding `syscall`, the bytes 0f 05, in x86-64 code. Most such pairs are parts of other instructions, or of data: so code is
 * decoded from many places before one, and most of these ways must come to it, as decoding soon falls into step wherever it
 * begins. The formats are in Intel's manual, volume 2, chapter 2 and appendix A. */
#include "../../include/direct.h"

#include <stddef.h>

#define FAR 64                     /* bytes before the instruction from where decoding begins, */
#define NEAR 12
#define FARTHEST 512               /* and from where its number is looked for */
#define LONGEST 15                 /* bytes of an instruction */
#define UNKNOWN (-1L)
#define CX 2u
#define DX 4u
#define CHANGED_BY_CALLS 0xfc7u    /* rax, rcx, rdx, rsi, rdi, r8 to r11 */

typedef uint8_t block __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t halves __attribute__((vector_size(16)));

/* A bit for each opcode: those of one byte that a ModRM byte follows, those that there are not, and those behind 0f without one. */
static const uint32_t with_operand[8] = {0x0f0f0f0f, 0x0f0f0f0f, 0, 0x0a08, 0xffff, 0, 0xff0f00c3, 0xc0c00000};
static const uint32_t absent[8] = {0xc0c040c0, 0x80808080, 0, 0x3, 0x04000004, 0, 0x00704000, 0x400};
static const uint32_t without_operand_0f[8] = {0x5ff0, 0xff0000, 0, 0x800000, 0xffff, 0x0707, 0xff00, 0};

struct instruction {
    const uint8_t *at, *end;       /* `at` is the next byte to be read */
    uint8_t rex, map, opcode;      /* `map` 0: of one byte, 1: behind 0f, 2 and 3: behind 0f 38 and 0f 3a */
    uint8_t operand;               /* the ModRM byte */
    int has_operand, narrow, vector;
    long value;                    /* the immediate, as far as four bytes hold it */
};

struct registers {
    long number[16];
    long pushed;                   /* by the last instruction */
    int set;                       /* whether eax has got something */
};

static unsigned int reg_of(const struct instruction *in)
{
    return (in->operand >> 3 & 7u) | (in->rex & 4u) << 1;
}

static unsigned int rm_of(const struct instruction *in)
{
    return (in->operand & 7u) | (in->rex & 1u) << 3;
}

static int has(const uint32_t *set, uint8_t opcode)
{
    return set[opcode >> 5] >> (opcode & 31) & 1;
}

static int take(struct instruction *in, uint8_t *byte)
{
    if (in->at >= in->end)
        return 0;
    *byte = *in->at++;
    return 1;
}

static int skip_prefixes(struct instruction *in)
{
    for (;; in->at++) {
        if (in->at >= in->end)
            return 0;
        switch (*in->at) {
        case 0x66: in->narrow = 1; break;
        case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x67: case 0xf0: case 0xf2: case 0xf3: break;
        default: return 1;
        }
    }
}

/* Those of AVX and AVX-512, whose second byte says which map the opcode is of. */
static int take_vector_opcode(struct instruction *in, uint8_t prefix)
{
    uint8_t byte;

    in->vector = 1;
    in->map = 1;
    if (prefix != 0xc5) {
        if (!take(in, &byte))
            return 0;
        in->map = byte & (prefix == 0x62 ? 7 : 31);
        in->at += prefix == 0x62;
    }
    in->at++;
    return in->map >= 1 && in->map <= 6 && take(in, &in->opcode);
}

static int take_opcode(struct instruction *in)
{
    if (!skip_prefixes(in))
        return 0;
    if ((*in->at & 0xf0) == 0x40)
        in->rex = *in->at++;
    if (!take(in, &in->opcode))
        return 0;
    if (in->opcode == 0xc4 || in->opcode == 0xc5 || in->opcode == 0x62)
        return take_vector_opcode(in, in->opcode);
    if (in->opcode != 0x0f)
        return !has(absent, in->opcode);
    in->map = 1;
    if (!take(in, &in->opcode))
        return 0;
    if (in->opcode == 0x38 || in->opcode == 0x3a) {
        in->map = in->opcode == 0x38 ? 2 : 3;
        return take(in, &in->opcode);
    }
    return 1;
}

static int take_operand(struct instruction *in)
{
    uint8_t mode, base;

    in->has_operand = in->map == 0 ? has(with_operand, in->opcode) : in->map > 1 || !has(without_operand_0f, in->opcode);
    if (!in->has_operand)
        return 1;
    if (!take(in, &in->operand))
        return 0;
    mode = in->operand >> 6;
    base = in->operand & 7;
    if (mode == 3)
        return 1;
    if (base == 4) {
        if (!take(in, &base))
            return 0;
        base &= 7;
        if (base == 5 && mode == 0)
            in->at += 4;
    } else if (base == 5 && mode == 0) {
        in->at += 4;
    }
    in->at += mode == 1 ? 1 : mode == 2 ? 4 : 0;
    return 1;
}

static int immediate_of_one_byte(const struct instruction *in)
{
    int wide = in->narrow ? 2 : 4;

    switch (in->opcode) {
    case 0x68: case 0x69: case 0x81: case 0xa9: case 0xc7: return wide;
    case 0x6a: case 0x6b: case 0x80: case 0x83: case 0xa8: case 0xc0: case 0xc1: case 0xc6: case 0xcd: case 0xeb: return 1;
    case 0xa0: case 0xa1: case 0xa2: case 0xa3: return 8;
    case 0xc2: case 0xca: return 2;
    case 0xc8: return 3;
    case 0xe8: case 0xe9: return 4;
    case 0xf6: return in->operand & 0x30 ? 0 : 1;
    case 0xf7: return in->operand & 0x30 ? 0 : wide;
    }
    if (in->opcode < 0x40)
        return (in->opcode & 7) == 4 ? 1 : (in->opcode & 7) == 5 ? wide : 0;
    if ((in->opcode & 0xf0) == 0x70 || (in->opcode & 0xf8) == 0xb0 || (in->opcode & 0xf8) == 0xe0)
        return 1;
    if ((in->opcode & 0xf8) == 0xb8)
        return in->rex & 8 ? 8 : wide;
    return 0;
}

static int immediate_of(const struct instruction *in)
{
    if (in->map == 0)
        return immediate_of_one_byte(in);
    if (in->map == 3)
        return 1;
    if (in->map != 1)
        return 0;
    if ((in->opcode & 0xf0) == 0x80)
        return in->vector ? 0 : 4;
    switch (in->opcode) {
    case 0x0f: case 0x70: case 0x71: case 0x72: case 0x73: case 0xa4: case 0xac: case 0xba: case 0xc2: case 0xc4: case 0xc5:
    case 0xc6: return 1;
    default: return 0;
    }
}

static long value_at(const uint8_t *at, int size)
{
    uint32_t value = 0;

    for (int i = 0; i < size && i < 4; i++)
        value |= (uint32_t)at[i] << (8 * i);
    return size == 1 ? (int8_t)value : (int32_t)value;
}

/* Returns where the next instruction is, or NULL if this is none. */
static const uint8_t *decode(const uint8_t *at, const uint8_t *end, struct instruction *in)
{
    *in = (struct instruction){.at = at, .end = end - at > LONGEST ? at + LONGEST : end};
    if (!take_opcode(in) || !take_operand(in))
        return NULL;
    int size = immediate_of(in);
    if (in->at + size > in->end)
        return NULL;
    in->value = value_at(in->at, size);
    return in->at + size;
}

/* Whether an instruction with a ModRM byte writes to the operand that its `reg` names, and to the one of its `r/m`. */
static int writes_reg(const struct instruction *in)
{
    uint8_t code = in->opcode;

    if (in->map == 1)
        return (code & 0xf0) == 0x40 || (code & 0xf6) == 0xb6 || code == 0xaf || code == 0xbc || code == 0xbd || code == 0x2c ||
               code == 0x2d || code == 0x50 || code == 0xd7 || (code & 0xfe) == 0xc0;
    if (code < 0x38)
        return code & 2;
    return code == 0x63 || code == 0x69 || code == 0x6b || (code >= 0x86 && code <= 0x87) || code == 0x8a || code == 0x8b ||
           code == 0x8d;
}

static int writes_memory_or_register(const struct instruction *in)
{
    uint8_t code = in->opcode, extension = in->operand >> 3 & 7;

    if (in->map == 1)
        return (code & 0xf0) == 0x90 || code == 0x7e || (code & 0xfe) == 0xc0 || code == 0xba;
    if (code < 0x38)
        return !(code & 2);
    switch (code) {
    case 0x80: case 0x81: case 0x83: return extension != 7;
    case 0x86: case 0x87: case 0x88: case 0x89: case 0x8f: case 0xc0: case 0xc1: case 0xc6: case 0xc7: case 0xfe: return 1;
    case 0xd0: case 0xd1: case 0xd2: case 0xd3: return 1;
    case 0xf6: case 0xf7: return extension == 2 || extension == 3;
    case 0xff: return extension < 2;
    default: return 0;
    }
}

static void forget(struct registers *registers, uint32_t which)
{
    for (int i = 0; i < 16; i++)
        if (which >> i & 1)
            registers->number[i] = UNKNOWN;
}

/* Those whose number is a part of the opcode, and those that no operand names. */
static uint32_t changed_by_opcode(const struct instruction *in)
{
    uint8_t code = in->opcode, extension = in->operand >> 3 & 7;
    uint32_t named = 1u << ((code & 7) | (in->rex & 1) << 3);

    if (in->map == 1)
        return code == 0x05 ? 1u | CX | 1u << 11 : code == 0x31 || code == 0xa2 ? 0xfu : (code & 0xfe) == 0xb0 ? 1 :
               (code & 0xf8) == 0xc8 ? named : 0;
    if (code < 0x38)
        return (code & 7) == 4 || (code & 7) == 5;
    if ((code & 0xf8) == 0x58 || (code & 0xf0) == 0xb0)
        return named;
    if ((code & 0xf8) == 0x90)
        return named == 1 ? 0 : named | 1;
    if (code == 0xe8 || (code == 0xff && (extension == 2 || extension == 3)))
        return CHANGED_BY_CALLS;
    if ((code & 0xfe) == 0xf6 && extension >= 4)
        return 1u | DX;
    return code == 0x98 || (code & 0xfe) == 0xa0 || (code & 0xfe) == 0xac ? 1 : code == 0x99 ? DX : 0;
}

static uint32_t changed_by(const struct instruction *in)
{
    uint32_t changed = 0;

    if (in->vector || in->map > 1)
        return 0;
    if (in->has_operand && writes_reg(in))
        changed |= 1u << reg_of(in);
    if (in->has_operand && in->operand >= 0xc0 && writes_memory_or_register(in))
        changed |= 1u << rm_of(in);
    return changed | changed_by_opcode(in);
}

/* What an instruction that moves a number or a register leaves in its target. */
static long moved(const struct instruction *in, const struct registers *before, unsigned int *target)
{
    int of_registers = in->has_operand && in->operand >= 0xc0 && in->map == 0;

    *target = of_registers ? rm_of(in) : (in->opcode & 7u) | (in->rex & 1u) << 3;
    if (in->map == 0 && (in->opcode & 0xf8) == 0xb8)
        return in->value;
    if (in->map == 0 && (in->opcode & 0xf8) == 0x58)
        return before->pushed;
    if (!of_registers)
        return UNKNOWN;
    if (in->opcode == 0xc7)
        return in->value;
    if (in->opcode == 0x89)
        return before->number[reg_of(in)];
    if ((in->opcode == 0x31 || in->opcode == 0x33) && reg_of(in) == rm_of(in))
        return 0;
    if (in->opcode != 0x8b)
        return UNKNOWN;
    *target = reg_of(in);
    return before->number[rm_of(in)];
}

/* Behind a return or a jump, code that is aligned is another function's, or reached from elsewhere. */
static int goes_on(const struct instruction *in, const uint8_t *next)
{
    int leaves = in->map == 0 && (in->opcode == 0xc3 || in->opcode == 0xe9 || in->opcode == 0xeb || in->opcode == 0xcc);

    return !leaves || ((uintptr_t)next & 15);
}

static void follow(const struct instruction *in, const uint8_t *next, struct registers *registers)
{
    unsigned int target;
    uint32_t changed = changed_by(in);
    long number = changed ? moved(in, registers, &target) : UNKNOWN;

    forget(registers, goes_on(in, next) ? changed : ~0u);
    if (changed && number != UNKNOWN)
        registers->number[target] = number;
    if (changed & 1)
        registers->set = 1;
    registers->pushed = in->map == 0 && in->opcode == 0x6a ? in->value : UNKNOWN;
}

/* Whether decoding from `at` comes to `target`, and with what in the registers. */
static int comes_to(const uint8_t *at, const uint8_t *target, struct registers *registers)
{
    struct instruction in;

    registers->set = 0;
    registers->pushed = UNKNOWN;
    forget(registers, ~0u);
    while (at && at < target) {
        at = decode(at, target, &in);
        if (at)
            follow(&in, at, registers);
    }
    return at == target;
}

/* What compilers and people do first with a result: compare it, keep it, return it, forget it. */
static int takes_result(const uint8_t *at, const uint8_t *last)
{
    struct instruction in;

    if (!decode(at, last, &in) || in.vector)
        return 0;
    uint8_t code = in.opcode;
    if (in.map == 1)
        return code == 0x0b || code == 0x1f;
    if (in.map > 1)
        return 0;
    switch (code) {
    case 0x89: case 0x85: return reg_of(&in) == 0;
    case 0x63: return in.operand == 0xc0 || rm_of(&in) == 0;
    case 0x83: case 0x81: return in.operand >= 0xc0;
    case 0xf7: return in.operand == 0xd8;
    case 0x3d: case 0xc3: case 0xc9: case 0xeb: case 0xe9: case 0x98: case 0xf4: return 1;
    case 0x8b: case 0x8d: case 0xc7: return in.rex & 8;
    default: return (code & 0xf8) == 0x58;
    }
}

static int is_instruction(const uint8_t *first, const uint8_t *at)
{
    struct registers ignored;
    const uint8_t *from = at - first > FAR ? at - FAR : first;
    unsigned int ways = 0, come = 0;

    for (; from + NEAR <= at; from++, ways++)
        come += (unsigned int)comes_to(from, at, &ignored);
    return ways && come * 4 >= ways * 3;
}

static void judge(const uint8_t *first, const uint8_t *at, const uint8_t *last, struct ip_direct *found)
{
    struct registers registers;
    const uint8_t *from = at - first > FARTHEST ? at - FARTHEST : first;

    if (!is_instruction(first, at))
        return;
    while (from < at && !comes_to(from, at, &registers))
        from++;
    if (registers.number[0] != UNKNOWN || (registers.set && takes_result(at + 2, last)))
        ip_direct_count(found, registers.number[0]);
}

/* From `at` up to `end`, in code from `first` to `last`. */
static void look(const uint8_t *first, const uint8_t *at, const uint8_t *end, const uint8_t *last, struct ip_direct *found)
{
    for (; at + 1 < end; at++)
        if (at[0] == 0x0f && at[1] == 0x05)
            judge(first, at, last, found);
}

/* Sixty-four bytes at a time, for this reads all code of a program. */
void ip_direct_in(const uint8_t *first, const uint8_t *last, struct ip_direct *found)
{
    const uint8_t *at = first;

    for (; last - at > 64; at += 64) {
        halves any = {0};
        for (int i = 0; i < 64; i += 16)
            any |= (halves)((*(const block *)(at + i) == 0x0f) & (*(const block *)(at + i + 1) == 0x05));
        if (any[0] | any[1])
            look(first, at, at + 65, last, found);
    }
    look(first, at, last, last, found);
}
