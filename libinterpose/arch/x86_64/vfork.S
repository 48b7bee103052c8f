/* vfork(2): parent and child return on the same stack, so the child overwrites the return address before the parent
 * needs it. The kernel keeps registers apart: rdi carries the address across, as in glibc and musl. The hooks run with
 * it pushed back, first in the child, then in the parent. */
    .text
    .globl vfork, __vfork
    .type vfork, @function
    .type __vfork, @function
vfork:
__vfork:
    endbr64
    sub $8, %rsp
    call ip_vfork_before
    add $8, %rsp
    pop %rdi
    mov $58, %eax
    syscall
    push %rdi
    mov %rax, %rdi
    jmp ip_vfork_after          /* returns what vfork is to return */
    .size vfork, . - vfork
    .section .note.GNU-stack, "", @progbits
