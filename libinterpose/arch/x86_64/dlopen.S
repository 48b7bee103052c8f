/* dlopen(3) and dlmopen(3): what libc does depends on who called it, so it is gone on to with the stack as it was. */
    .text
    .globl dlopen, dlmopen
    .type dlopen, @function
    .type dlmopen, @function

dlopen:
    .cfi_startproc
    endbr64
    mov (%rsp), %rdx            /* who called */
    push %rdi
    .cfi_adjust_cfa_offset 8
    push %rsi
    .cfi_adjust_cfa_offset 8
    sub $8, %rsp
    .cfi_adjust_cfa_offset 8
    call ip_dlopen_chosen
    add $8, %rsp
    .cfi_adjust_cfa_offset -8
    pop %rsi
    .cfi_adjust_cfa_offset -8
    pop %rdi
    .cfi_adjust_cfa_offset -8
    jmp *%rax
    .cfi_endproc
    .size dlopen, . - dlopen

dlmopen:
    .cfi_startproc
    endbr64
    mov (%rsp), %rcx            /* who called */
    push %rdi
    .cfi_adjust_cfa_offset 8
    push %rsi
    .cfi_adjust_cfa_offset 8
    push %rdx
    .cfi_adjust_cfa_offset 8
    call ip_dlmopen_chosen
    pop %rdx
    .cfi_adjust_cfa_offset -8
    pop %rsi
    .cfi_adjust_cfa_offset -8
    pop %rdi
    .cfi_adjust_cfa_offset -8
    jmp *%rax
    .cfi_endproc
    .size dlmopen, . - dlmopen
    .section .note.GNU-stack, "", @progbits
