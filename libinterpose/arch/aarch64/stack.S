/* ip_stack_call(routine, argument, top): calls the routine on another stack. */
    .text
    .globl ip_stack_call
    .hidden ip_stack_call
    .type ip_stack_call, %function
ip_stack_call:
    .cfi_startproc
    hint 34                     /* bti c */
    stp x29, x30, [sp, #-16]!
    .cfi_def_cfa_offset 16
    .cfi_offset x29, -16
    .cfi_offset x30, -8
    mov x29, sp
    .cfi_def_cfa_register x29
    mov sp, x2
    mov x3, x0
    mov x0, x1
    blr x3
    mov sp, x29
    .cfi_def_cfa_register sp
    ldp x29, x30, [sp], #16
    .cfi_restore x29
    .cfi_restore x30
    .cfi_def_cfa_offset 0
    ret
    .cfi_endproc
    .size ip_stack_call, . - ip_stack_call
    .section .note.GNU-stack, "", %progbits
