/* vfork(2): parent and child return on the same stack. The return address lives in x30 and x19 would have to be saved in
 * memory that the child may overwrite, so x30 itself is carried across: the kernel keeps registers apart. */
    .text
    .globl vfork, __vfork
    .type vfork, %function
    .type __vfork, %function
vfork:
__vfork:
    hint 34                     /* bti c */
    stp x29, x30, [sp, #-16]!
    bl ip_vfork_before
    ldp x29, x30, [sp], #16
    mov x0, #0x4111             /* CLONE_VM | CLONE_VFORK | SIGCHLD */
    mov x1, #0
    mov x2, #0
    mov x3, #0
    mov x4, #0
    mov x8, #220                /* clone */
    svc #0
    b ip_vfork_after            /* returns what vfork is to return, to x30 */
    .size vfork, . - vfork
    .section .note.GNU-stack, "", %progbits
