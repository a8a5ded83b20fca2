/*
 * Boots the Linux kernel that the firmware configuration interface holds: an option ROM with a bootstrap entry vector, for a BIOS
 * with the Plug and Play BIOS Specification 1.0A's and the BIOS Boot Specification 1.01's boot order.
 *
 * Kernel, RAM disk, command line and setup code are fetched by DMA to the addresses that stand beside them; their headers are
 * complete (the Linux/x86 boot protocol's fields are filled in by the machine). Then the setup code is entered as the protocol says:
 * all segments its own, interrupts off.
 *
 * The size in byte 2 and both checksums are filled in by whoever offers the ROM (LinuxBootROM.swift).
 */
        .code16
        .text

        .set    REQUEST, 0x7c00         /* a DMA request: control, length, address */
        .set    ANSWER, REQUEST + 16    /* a number that was asked for */
        .set    STACK, REQUEST
        .set    PORT, 0x518             /* the low half of a request's address, which starts it */
        .set    PORT_HIGH, 0x514
        .set    HEAP_END, 0xe000        /* the stack of the setup code, which the machine's heap_end_ptr knows */
        .set    READ_SELECTED, 0x000a   /* select the item of bits 31:16 and read it */

rom:    .word   0xaa55
        .byte   0
        jmp     initialize
        .org    0x1a
        .word   plug_and_play

        .org    0x20
plug_and_play:
        .ascii  "$PnP"
        .byte   1, 2                    /* revision; length in units of 16 bytes */
        .word   0                       /* no further header */
        .byte   0
        .byte   0                       /* checksum */
        .long   0                       /* no device of its own */
        .word   maker, product
        .byte   0, 0, 0                 /* no type of device */
        .byte   0x14                    /* for booting only; may be an initial program load device */
        .word   0, 0                    /* neither boot connection nor disconnect vector */
        .word   boot
        .word   0, 0

maker:  .asciz  "Paravane"
product:
        .asciz  "Linux kernel"
complaint:
        .asciz  "Paravane: the kernel could not be loaded\r\n"

        /* What to fetch: the items of address, size and data. The setup code comes last. */
items:  .word   0x07, 0x08, 0x11        /* kernel */
        .word   0x0a, 0x0b, 0x12        /* RAM disk */
        .word   0x13, 0x14, 0x15        /* command line */
        .word   0x16, 0x17, 0x18        /* setup code */
items_end:

        /* Nothing to initialize; 0x20 in AX: this is a bootstrap device. */
initialize:
        movw    $0x20, %ax
        lretw

boot:
        cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $STACK, %sp
        movw    $items, %si
next:
        movw    %cs:(%si), %ax
        call    number
        movl    %eax, %ebp              /* where to */
        movw    %cs:2(%si), %ax
        call    number
        movl    %eax, %ecx
        jecxz   skip
        movw    %cs:4(%si), %ax
        movl    %ebp, %edi
        call    fetch
skip:   addw    $6, %si
        cmpw    $items_end, %si
        jb      next

        /* The setup code's address is still in EBP. */
        shrl    $4, %ebp
        movw    %bp, %ds
        movw    %bp, %es
        movw    %bp, %fs
        movw    %bp, %gs
        movw    %bp, %ss
        movw    $HEAP_END, %sp
        addw    $0x20, %bp
        pushw   %bp
        pushw   $0
        lretw

        /* The number in item AX: EAX. */
number:
        movl    $4, %ecx
        movl    $ANSWER, %edi
        call    fetch
        movl    ANSWER, %eax
        ret

        /* Item AX, ECX bytes, to the physical address EDI. */
fetch:
        shll    $16, %eax
        movw    $READ_SELECTED, %ax
        bswapl  %eax
        movl    %eax, REQUEST
        bswapl  %ecx
        movl    %ecx, REQUEST + 4
        movl    $0, REQUEST + 8
        bswapl  %edi
        movl    %edi, REQUEST + 12
        xorl    %eax, %eax
        movw    $PORT_HIGH, %dx
        outl    %eax, %dx
        movl    $REQUEST, %eax
        bswapl  %eax
        movw    $PORT, %dx
        outl    %eax, %dx
pending:
        movl    REQUEST, %eax
        bswapl  %eax
        testl   $~1, %eax
        jnz     pending
        testl   %eax, %eax
        jnz     fail
        ret

        /* Says so and lets the BIOS try the next device. */
fail:
        sti
        movw    $complaint, %si
print:  movb    %cs:(%si), %al
        testb   %al, %al
        jz      printed
        movb    $0x0e, %ah
        movw    $7, %bx
        int     $0x10
        incw    %si
        jmp     print
printed:
        int     $0x18
