/* dlopen(3) and dlmopen(3): what libc does depends on who called it, so it is gone on to with x30 and the stack as they were. */
    .text
    .globl dlopen, dlmopen
    .type dlopen, %function
    .type dlmopen, %function

dlopen:
    .cfi_startproc
    hint 34                     /* bti c */
    stp x29, x30, [sp, #-32]!
    .cfi_adjust_cfa_offset 32
    .cfi_rel_offset 29, 0
    .cfi_rel_offset 30, 8
    stp x0, x1, [sp, #16]
    mov x2, x30                 /* who called */
    bl ip_dlopen_chosen
    mov x16, x0
    ldp x0, x1, [sp, #16]
    ldp x29, x30, [sp], #32
    .cfi_adjust_cfa_offset -32
    .cfi_restore 29
    .cfi_restore 30
    br x16
    .cfi_endproc
    .size dlopen, . - dlopen

dlmopen:
    .cfi_startproc
    hint 34
    stp x29, x30, [sp, #-48]!
    .cfi_adjust_cfa_offset 48
    .cfi_rel_offset 29, 0
    .cfi_rel_offset 30, 8
    stp x0, x1, [sp, #16]
    str x2, [sp, #32]
    mov x3, x30                 /* who called */
    bl ip_dlmopen_chosen
    mov x16, x0
    ldp x0, x1, [sp, #16]
    ldr x2, [sp, #32]
    ldp x29, x30, [sp], #48
    .cfi_adjust_cfa_offset -48
    .cfi_restore 29
    .cfi_restore 30
    br x16
    .cfi_endproc
    .size dlmopen, . - dlmopen
    .section .note.GNU-stack, "", %progbits
