/* ip_stack_call(routine, argument, top): calls the routine on another stack. */
    .text
    .globl ip_stack_call
    .hidden ip_stack_call
    .type ip_stack_call, @function
ip_stack_call:
    .cfi_startproc
    endbr64
    push %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    mov %rsp, %rbp
    .cfi_def_cfa_register %rbp
    mov %rdx, %rsp
    mov %rdi, %rax
    mov %rsi, %rdi
    call *%rax
    mov %rbp, %rsp
    pop %rbp
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_endproc
    .size ip_stack_call, . - ip_stack_call
    .section .note.GNU-stack, "", @progbits
