/*
 * A disk whose boot sector tries what programs of the MS-DOS age ask a BIOS for: the screen, disks by cylinder and by block, the
 * keyboard, memory, the clock, APM. Every part checks its answers itself and says "ok: NAME" or "FAILED: NAME" on COM1 (by interrupt
 * 14h); at the end everything stands on the screen too, and the machine is powered off.
 *
 * The interrupts' contracts are those of the IBM PC and PS/2 BIOS technical references, the Phoenix EDD specification (extended
 * disk access), the ACPI specification (E820), PCI BIOS 2.1, VBE 2.0 and APM 1.2.
 *
 * On the disk: sector 0 loads the rest; sectors 64 to 127 hold their own number in every double word; 200 and up are written to.
 */
        .code16
        .text

        .set    COUNT, 30               /* sectors of the program behind the first one */
        .set    FIRST, 64               /* numbered sectors */
        .set    BUFFER, 0x2000          /* a segment */
        .set    OTHER, 0x3000           /* another one */

start:  ljmp    $0, $begin
begin:  cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        sti
        cld
        movb    %dl, drive
        movw    $0x0200 + COUNT, %ax
        movw    $0x0002, %cx
        xorb    %dh, %dh
        movw    $0x7e00, %bx
        int     $0x13
        jc      unread
        jmp     main
unread: movw    $0x0e00 + '!', %ax
        xorw    %bx, %bx
        int     $0x10
        hlt
        jmp     unread

drive:  .byte   0

        .org    446
        .byte   0x80, 1, 1, 0, 0x83, 15, 63, 15 /* one partition, so that a BIOS takes it for a disk */
        .long   63, 16321
        .org    510
        .word   0xaa55

/* ------------------------------------------------------------------------------------------------------------------------- */

main:   movw    $0x00e3, %ax            /* COM1: 9600 baud, 8 bits, no parity, 1 stop bit */
        xorw    %dx, %dx
        int     $0x14
        movw    $greeting, %si
        call    say
        movw    $parts, %si
next:   movw    (%si), %bx
        testw   %bx, %bx
        jz      finish
        pushw   %si
        movw    %sp, frame
        xorw    %ax, %ax
        movw    %ax, %es
        call    *%bx
        movw    $good, %bx
        jmp     judge
fail:   xorw    %ax, %ax
        movw    %ax, %ds
        movw    frame, %sp
        incw    failures
        movw    $bad, %bx
judge:  xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        cld
        popw    %si
        movw    %bx, 4(%si)
        pushw   %si
        movw    %bx, %si
        call    say
        popw    %si
        pushw   %si
        movw    2(%si), %si
        call    say
        movw    $line, %si
        call    say
        popw    %si
        addw    $6, %si
        jmp     next

/* All results on the screen, the end on both. */
finish: movw    $0x0003, %ax
        int     $0x10
        movw    $parts, %si
1:      cmpw    $0, (%si)
        je      2f
        pushw   %si
        movw    4(%si), %si
        call    show
        popw    %si
        pushw   %si
        movw    2(%si), %si
        call    show
        movw    $line, %si
        call    show
        popw    %si
        addw    $6, %si
        jmp     1b
2:      movw    failures, %ax
        aam
        addw    $0x3030, %ax
        movb    %ah, done_count
        movb    %al, done_count + 1
        movw    $done, %si
        call    show
        movw    $done, %si
        call    say
        call    power_off
        movw    $still_on, %si
        call    say
1:      hlt
        jmp     1b

/* The text at SI on COM1. */
say:    lodsb
        testb   %al, %al
        jz      1f
        movb    $1, %ah
        xorw    %dx, %dx
        int     $0x14
        jmp     say
1:      ret

/* The text at SI on the screen. */
show:   lodsb
        testb   %al, %al
        jz      1f
        movb    $0x0e, %ah
        movw    $7, %bx
        int     $0x10
        jmp     show
1:      ret

        .macro  expect condition        /* the part fails unless the condition holds */
        j\condition 88f
        jmp     fail
88:
        .endm

/* ----------------------------------------------------------------------------------------------------------------- the screen */

text_mode:
        movw    $0x0003, %ax
        int     $0x10
        movb    $0x0f, %ah
        int     $0x10
        cmpw    $0x5003, %ax            /* 80 columns, mode 3 */
        expect  e
        cmpb    $0, %bh
        expect  e
        movw    $0xb800, %ax
        movw    %ax, %es
        movw    $0x0720, %ax            /* blanks all over */
        xorw    %di, %di
        movw    $2000, %cx
        repe    scasw
        expect  e
        ret

cursor: movb    $2, %ah
        xorb    %bh, %bh
        movw    $0x0c22, %dx            /* row 12, column 34 */
        int     $0x10
        movb    $3, %ah
        xorb    %bh, %bh
        int     $0x10
        cmpw    $0x0c22, %dx
        expect  e
        movw    $0x3d4, %dx             /* the controller's own registers */
        movb    $0x0e, %al
        outb    %al, %dx
        incw    %dx
        inb     %dx, %al
        movb    %al, %ah
        decw    %dx
        movb    $0x0f, %al
        outb    %al, %dx
        incw    %dx
        inb     %dx, %al
        cmpw    $12 * 80 + 34, %ax
        expect  e
        movw    $0x0100, %ax            /* its shape */
        movw    $0x0507, %cx
        int     $0x10
        movb    $3, %ah
        xorb    %bh, %bh
        int     $0x10
        cmpw    $0x0507, %cx
        expect  e
        ret

characters:
        movb    $2, %ah
        xorb    %bh, %bh
        movw    $0x0500, %dx
        int     $0x10
        movw    $0x0900 + 'X', %ax
        movw    $0x001e, %bx
        movw    $3, %cx
        int     $0x10
        movb    $8, %ah
        xorb    %bh, %bh
        int     $0x10
        cmpw    $0x1e00 + 'X', %ax
        expect  e
        movw    $0xb800, %ax
        movw    %ax, %es
        cmpw    $0x1e00 + 'X', %es:5 * 160 + 4
        expect  e
        cmpw    $0x0720, %es:5 * 160 + 6
        expect  e
        xorw    %ax, %ax
        movw    %ax, %es
        movw    $0x1301, %ax            /* a string, cursor behind it */
        movw    $0x004f, %bx
        movw    $4, %cx
        movw    $0x0610, %dx
        movw    $greeting, %bp
        int     $0x10
        movb    $3, %ah
        xorb    %bh, %bh
        int     $0x10
        cmpw    $0x0614, %dx
        expect  e
        movw    $0xb800, %ax
        movw    %ax, %es
        cmpw    $0x4f00 + 'L', %es:6 * 160 + 0x13 * 2
        expect  e
        ret

scroll: movw    $0x0601, %ax            /* up, rows 4 to 10: the characters of row 5 are on row 4 then */
        movb    $0x70, %bh
        movw    $0x0400, %cx
        movw    $0x0a4f, %dx
        int     $0x10
        movw    $0xb800, %ax
        movw    %ax, %es
        cmpw    $0x1e00 + 'X', %es:4 * 160
        expect  e
        cmpw    $0x7020, %es:10 * 160
        expect  e
        cmpw    $0x0720, %es:11 * 160
        expect  e
        movw    $0x0702, %ax            /* down by two */
        movb    $0x17, %bh
        movw    $0x0400, %cx
        movw    $0x0a4f, %dx
        int     $0x10
        cmpw    $0x1e00 + 'X', %es:6 * 160
        expect  e
        cmpw    $0x1720, %es:4 * 160
        expect  e
        ret

teletype:
        movw    $0xb800, %ax
        movw    %ax, %es
        movw    $0x0700 + 'M', %es:160
        movb    $2, %ah
        xorb    %bh, %bh
        movw    $0x184f, %dx            /* the last place */
        int     $0x10
        movw    $0x0e00 + 'Z', %ax
        movw    $7, %bx
        int     $0x10
        movb    $3, %ah
        xorb    %bh, %bh
        int     $0x10
        cmpw    $0x1800, %dx
        expect  e
        cmpw    $0x0700 + 'M', %es:0
        expect  e
        cmpb    $'Z', %es:23 * 160 + 158
        expect  e
        ret

palette:
        movw    $0x1010, %ax
        movw    $5, %bx
        movb    $0x11, %dh
        movw    $0x2233, %cx
        int     $0x10
        xorw    %cx, %cx
        xorb    %dh, %dh
        movw    $0x1015, %ax
        movw    $5, %bx
        int     $0x10
        cmpb    $0x11, %dh
        expect  e
        cmpw    $0x2233, %cx
        expect  e
        movw    $0x1130, %ax            /* the 8x16 font */
        movb    $6, %bh
        pushw   %bp
        int     $0x10
        movw    %bp, %di
        popw    %bp
        cmpw    $16, %cx
        expect  e
        addw    $'A' * 16, %di
        xorb    %al, %al
        movw    $16, %cx
        repe    scasb
        expect  ne
        ret

mode13: movw    $0x0013, %ax
        int     $0x10
        movw    $0x0ca5, %ax            /* one dot */
        xorb    %bh, %bh
        movw    $33, %cx
        movw    $7, %dx
        int     $0x10
        movw    $0xa000, %ax
        movw    %ax, %es
        cmpb    $0xa5, %es:7 * 320 + 33
        expect  e
        movb    $0x5c, %es:8 * 320 + 34
        movb    $0x0d, %ah
        xorb    %bh, %bh
        movw    $34, %cx
        movw    $8, %dx
        int     $0x10
        cmpb    $0x5c, %al
        expect  e
        ret

mode12: movw    $0x0012, %ax
        int     $0x10
        movw    $0x0c0d, %ax
        xorb    %bh, %bh
        movw    $100, %cx
        movw    $50, %dx
        int     $0x10
        movb    $0x0d, %ah
        xorb    %bh, %bh
        int     $0x10
        cmpb    $0x0d, %al
        expect  e
        movw    $0xa000, %ax            /* plane by plane: 1, 0, 1, 1 */
        movw    %ax, %es
        movw    $0x3ce, %dx
        xorb    %bl, %bl
        movw    $0x0304, %ax
1:      outw    %ax, %dx                /* the plane that is read */
        movb    %es:50 * 80 + 12, %cl
        shrb    $4, %cl                 /* bit 3 of the byte is the dot */
        adcb    %bl, %bl
        decb    %ah
        jns     1b
        movw    $0x0004, %ax
        outw    %ax, %dx
        cmpb    $0x0d, %bl
        expect  e
        ret

vesa:   movw    $BUFFER, %ax
        movw    %ax, %es
        xorw    %di, %di
        movl    $0x32454256, %es:(%di)  /* VBE2 */
        movw    $0x4f00, %ax
        int     $0x10
        cmpw    $0x004f, %ax
        expect  e
        cmpl    $0x41534556, %es:(%di)  /* VESA */
        expect  e
        movw    $0x4f01, %ax            /* 640x480, 16 bits */
        movw    $0x0111, %cx
        int     $0x10
        cmpw    $0x004f, %ax
        expect  e
        cmpl    $640 + (480 << 16), %es:0x12(%di)
        expect  e
        movw    $0x4f02, %ax
        movw    $0x0111, %bx
        int     $0x10
        cmpw    $0x004f, %ax
        expect  e
        movw    $0x4f03, %ax
        int     $0x10
        andw    $0x1ff, %bx
        cmpw    $0x0111, %bx
        expect  e
        movw    $0xa000, %ax            /* two banks */
        movw    %ax, %es
        movw    $0x1234, %es:0x10
        movw    $1, %dx
        call    bank
        cmpw    $0, %es:0x10
        expect  e
        movw    $0x5678, %es:0x10
        xorw    %dx, %dx
        call    bank
        cmpw    $0x1234, %es:0x10
        expect  e
        movw    $1, %dx
        call    bank
        cmpw    $0x5678, %es:0x10
        expect  e
        movw    $0x0003, %ax
        int     $0x10
        ret
bank:   movw    $0x4f05, %ax
        xorw    %bx, %bx
        int     $0x10
        ret

/* ------------------------------------------------------------------------------------------------------------------- the disk */

geometry:
        movb    $0x08, %ah
        movb    drive, %dl
        xorw    %di, %di
        int     $0x13
        expect  nc
        testb   %dl, %dl
        expect  nz
        movb    %dh, %al
        xorb    %ah, %ah
        incw    %ax
        movw    %ax, heads
        movw    %cx, %ax
        andw    $0x3f, %ax
        movw    %ax, sectors
        expect  nz
        movb    $0x15, %ah
        movb    drive, %dl
        int     $0x13
        expect  nc
        cmpb    $3, %ah                 /* a fixed disk */
        expect  e
        movb    $0x41, %ah
        movw    $0x55aa, %bx
        movb    drive, %dl
        int     $0x13
        expect  nc
        cmpw    $0xaa55, %bx
        expect  e
        testb   $1, %cl
        expect  nz
        movw    $0x1a, extended
        movb    $0x48, %ah
        movw    $extended, %si
        movb    drive, %dl
        int     $0x13
        expect  nc
        cmpl    $16384, extended + 16
        expect  e
        cmpw    $512, extended + 24
        expect  e
        ret

/* By cylinder, head and sector: BL sectors from block AX on, at ES:0. */
chs:    xorw    %dx, %dx
        divw    sectors
        movb    %dl, %cl
        incb    %cl
        xorw    %dx, %dx
        divw    heads
        movb    %al, %ch
        shlb    $6, %ah
        orb     %ah, %cl
        movb    %dl, %dh
        movb    drive, %dl
        movb    %bl, %al
        movb    function, %ah
        xorw    %bx, %bx
        int     $0x13
        ret

/* The same by block. */
lba:    movw    $packet, %si
        movw    $16, (%si)
        movb    %bl, 2(%si)
        movb    $0, 3(%si)
        movw    $0, 4(%si)
        movw    %es, 6(%si)
        movw    %ax, 8(%si)
        movw    $0, 10(%si)
        movl    $0, 12(%si)
        movb    function, %ah
        xorb    %al, %al
        movb    drive, %dl
        int     $0x13
        ret

/* BL sectors at ES:0 hold their numbers, from AX on. */
numbered:
        xorw    %di, %di
        movzwl  %ax, %eax
1:      movw    $128, %cx
        repe    scasl
        expect  e
        incl    %eax
        decb    %bl
        jnz     1b
        ret

/* Fills segment ES with words that depend on AX. */
fill:   xorw    %di, %di
        movw    $0x2000, %cx
1:      stosw
        imulw   $25173, %ax, %ax
        addw    $13849, %ax
        loop    1b
        ret

/* BL sectors at segments BUFFER and OTHER are the same. */
same:   movzbw  %bl, %cx
        shlw    $7, %cx
        movw    $BUFFER, %ax
        movw    %ax, %ds
        movw    $OTHER, %ax
        movw    %ax, %es
        xorw    %si, %si
        xorw    %di, %di
        repe    cmpsl
        movw    $0, %ax
        movw    %ax, %ds
        expect  e
        ret

read_chs:
        movw    $BUFFER, %ax
        movw    %ax, %es
        movb    $2, function
        movw    $FIRST + 3, %ax
        movb    $1, %bl
        call    chs
        expect  nc
        movw    $FIRST + 3, %ax
        movb    $1, %bl
        call    numbered
        movw    $FIRST, %ax             /* over the end of a track */
        movb    $62, %bl
        call    chs
        expect  nc
        movw    $FIRST, %ax
        movb    $62, %bl
        call    numbered
        ret

read_lba:
        movw    $BUFFER, %ax
        movw    %ax, %es
        movb    $0x42, function
        movw    $FIRST, %ax
        movb    $64, %bl
        call    lba
        expect  nc
        movw    $FIRST, %ax
        movb    $64, %bl
        call    numbered
        ret

/* What is written one way is read the other way. */
write_chs:
        movw    $BUFFER, %ax
        movw    %ax, %es
        movw    $0x1357, %ax
        call    fill
        movb    $3, function
        movw    $200, %ax
        movb    $8, %bl
        call    chs
        expect  nc
        movw    $OTHER, %ax
        movw    %ax, %es
        movb    $0x42, function
        movw    $200, %ax
        movb    $8, %bl
        call    lba
        expect  nc
        movb    $8, %bl
        call    same
        movb    $4, function            /* verify */
        movw    $200, %ax
        movb    $8, %bl
        call    chs
        expect  nc
        ret

write_lba:
        movw    $BUFFER, %ax
        movw    %ax, %es
        movw    $0x2468, %ax
        call    fill
        movb    $0x43, function
        movw    $16000, %ax
        movb    $16, %bl
        call    lba
        expect  nc
        movw    $OTHER, %ax
        movw    %ax, %es
        movb    $2, function
        movw    $16000, %ax
        movb    $16, %bl
        call    chs
        expect  nc
        movb    $16, %bl
        call    same
        ret

beyond: movw    $BUFFER, %ax
        movw    %ax, %es
        movb    $0x42, function
        movw    $16384, %ax             /* the first block that is not there */
        movb    $1, %bl
        call    lba
        expect  c
        movb    $0x42, function         /* and the last one that is */
        movw    $16383, %ax
        movb    $1, %bl
        call    lba
        expect  nc
        movb    $0, %ah                 /* reset; ready */
        movb    drive, %dl
        int     $0x13
        expect  nc
        movb    $0x10, %ah
        movb    drive, %dl
        int     $0x13
        expect  nc
        movw    $0x0201, %ax            /* a disk that is not there */
        movw    $1, %cx
        movw    $0x008f, %dx
        xorw    %bx, %bx
        int     $0x13
        expect  c
        ret

/* --------------------------------------------------------------------------------------------------------------- the keyboard */

/* Asks for keys one after the other: p, Q, F1, left, Ctrl-C. Whoever runs this types. */
keyboard:
        movb    $1, %ah
        int     $0x16
        jz      1f
        xorb    %ah, %ah                /* something stood there */
        int     $0x16
        jmp     keyboard
1:      movw    $keys, %di
2:      movb    (%di), %al
        testb   %al, %al
        jz      5f
        movb    %al, asked_for
        movw    $asked, %si
        call    say
        xorb    %ah, %ah
        int     $0x16
        movw    %ax, typed
        movw    $got, %si
        call    say
        movw    typed, %ax
        call    hexadecimal
        movw    $line, %si
        call    say
        movw    typed, %ax
        cmpw    1(%di), %ax
        expect  e
        addw    $3, %di
        jmp     2b
5:      movb    $2, %ah                 /* no key is held now, but the last one's release may be on its way */
        int     $0x16
        testb   $0x04, %al
        jnz     5b
        testb   $0x0b, %al
        expect  z
        movb    $5, %ah                 /* a key put into the buffer by a program */
        movw    $0x1e61, %cx
        int     $0x16
        movb    $1, %ah
        int     $0x16
        expect  nz
        movb    $0x10, %ah
        int     $0x16
        cmpw    $0x1e61, %ax
        expect  e
        ret

/* AX on COM1 in four digits. */
hexadecimal:
        movw    $4, %cx
1:      rolw    $4, %ax
        pushw   %ax
        andb    $15, %al
        cmpb    $10, %al
        sbbb    $0x69, %al
        das
        movb    $1, %ah
        xorw    %dx, %dx
        pushw   %cx
        int     $0x14
        popw    %cx
        popw    %ax
        loop    1b
        ret

/* ------------------------------------------------------------------------------------------------------------------ the memory */

/* The map: from 0, ascending, no overlap; RAM above 1 MiB is as large as E801 and 88 say. */
memory_map:
        movl    $0, above
        movl    $0, end_of_last
        xorl    %ebx, %ebx
        movw    $0, entries
1:      movl    $0xe820, %eax
        movl    $0x534d4150, %edx
        movl    $20, %ecx
        movw    $extended, %di
        int     $0x15
        expect  nc
        cmpl    $0x534d4150, %eax
        expect  e
        cmpl    $20, %ecx
        expect  e
        cmpw    $0, entries
        jne     2f
        cmpl    $0, extended            /* conventional memory comes first */
        expect  e
        cmpl    $1, extended + 16
        expect  e
        cmpl    $0x9f000, extended + 8
        expect  ae
2:      cmpl    $0, extended + 4        /* above 4 GiB is another matter */
        jne     3f
        movl    extended, %eax
        cmpl    end_of_last, %eax
        expect  ae
        addl    extended + 8, %eax
        movl    %eax, end_of_last
        cmpl    $0x100000, extended
        jne     3f
        cmpl    $1, extended + 16
        expect  e
        movl    extended + 8, %eax
        shrl    $10, %eax
        movl    %eax, above
3:      incw    entries
        cmpw    $32, entries
        expect  b
        testl   %ebx, %ebx
        jnz     1b
        cmpl    $0, above
        expect  ne
        ret

memory_size:
        int     $0x12
        cmpw    $639, %ax
        expect  e
        movb    $0x88, %ah
        int     $0x15
        expect  nc
        movl    above, %ecx
        cmpl    $0xfc00, %ecx
        jb      1f
        movl    $0xfc00, %ecx
1:      cmpw    %cx, %ax
        expect  e
        movw    $0xe801, %ax
        int     $0x15
        expect  nc
        movzwl  %ax, %eax
        movzwl  %bx, %ebx
        shll    $6, %ebx
        addl    %ebx, %eax
        movl    above, %ecx
        subl    %eax, %ecx
        cmpl    $64, %ecx               /* in units of 64 KiB */
        expect  b
        ret

/* Through memory above 1 MiB, which the BIOS reaches in protected mode. */
block_move:
        movw    $BUFFER, %ax
        movw    %ax, %es
        movw    $0x9bdf, %ax
        call    fill
        xorw    %ax, %ax
        movw    %ax, %es
        movw    $BUFFER >> 12, source + 4
        movb    $0x93, source + 5
        movb    $0x20, target + 4       /* 2 MiB */
        movb    $0x87, %ah
        movw    $0x1000, %cx
        movw    $table, %si
        int     $0x15
        expect  nc
        movb    $0x20, source + 4
        movb    $OTHER >> 12, target + 4
        movb    $0x87, %ah
        movw    $0x1000, %cx
        movw    $table, %si
        int     $0x15
        expect  nc
        movb    $16, %bl
        call    same
        ret

/* A20 by the BIOS: on after it was asked for, and off makes 1 MiB the same as 0. */
gate:   movw    $0x2401, %ax
        int     $0x15
        expect  nc
        movw    $0x2402, %ax
        int     $0x15
        expect  nc
        cmpb    $1, %al
        expect  e
        movw    $0xffff, %ax
        movw    %ax, %es
        movl    $0x11223344, scratch
        movl    $0x55667788, %es:scratch + 16
        cmpl    $0x11223344, scratch
        expect  e
        movw    $0x2400, %ax
        int     $0x15
        expect  nc
        cmpl    $0x11223344, %es:scratch + 16
        movw    $0x2401, %ax
        pushfw
        int     $0x15
        popfw
        expect  e
        cmpl    $0x55667788, %es:scratch + 16
        expect  e
        ret

/* ------------------------------------------------------------------------------------------------------------- clocks and buses */

ticks:  xorb    %ah, %ah
        int     $0x1a
        movw    %dx, %bx
        movw    $3, %si
1:      sti
        hlt
        xorb    %ah, %ah
        int     $0x1a
        cmpw    %bx, %dx
        je      1b
        movw    %dx, %bx
        decw    %si
        jnz     1b
        movb    $0x86, %ah              /* waits 20 ms */
        xorw    %cx, %cx
        movw    $20000, %dx
        int     $0x15
        expect  nc
        ret

calendar:
        movb    $2, %ah
        int     $0x1a
        expect  nc
        cmpb    $0x24, %ch
        expect  b
        cmpb    $0x60, %cl
        expect  b
        cmpb    $0x60, %dh
        expect  b
        movb    $4, %ah
        int     $0x1a
        expect  nc
        cmpb    $0x20, %ch
        expect  e
        cmpb    $0x24, %cl
        expect  ae
        cmpb    $0x13, %dh
        expect  b
        cmpb    $0x01, %dh
        expect  ae
        cmpb    $0x32, %dl
        expect  b
        ret

pci:    movw    $0xb101, %ax
        xorl    %edi, %edi
        int     $0x1a
        expect  nc
        cmpl    $0x20494350, %edx
        expect  e
        movw    $0xb102, %ax            /* the host bridge is 00:00.0 */
        movw    $0x1237, %cx
        movw    $0x8086, %dx
        xorw    %si, %si
        int     $0x1a
        expect  nc
        cmpw    $0, %bx
        expect  e
        movw    $0xb10a, %ax
        xorw    %di, %di
        int     $0x1a
        expect  nc
        cmpl    $0x12378086, %ecx
        expect  e
        movl    $0xb103, %eax           /* a display adapter */
        movl    $0x030000, %ecx
        xorw    %si, %si
        int     $0x1a
        expect  nc
        ret

equipment:
        int     $0x11
        testb   $0x02, %al              /* a numeric coprocessor */
        expect  nz
        movb    $0xc0, %ah
        int     $0x15
        expect  nc
        cmpb    $0xfc, %es:2(%bx)       /* a PC AT */
        expect  e
        movb    $3, %ah                 /* COM1's state: ready to send */
        xorw    %dx, %dx
        int     $0x14
        testb   $0x20, %ah
        expect  nz
        ret

power_off:
        movw    $0x5300, %ax
        xorw    %bx, %bx
        int     $0x15
        jc      1f
        movw    $0x5301, %ax            /* real mode */
        xorw    %bx, %bx
        int     $0x15
        movw    $0x530e, %ax
        xorw    %bx, %bx
        movw    $0x0102, %cx
        int     $0x15
        movw    $0x5307, %ax
        movw    $1, %bx
        movw    $3, %cx
        int     $0x15
1:      ret

/* ----------------------------------------------------------------------------------------------------------------------- texts */

        .macro  part routine, name
        .word   \routine, 77f, 0
        .pushsection .text.names, "ax"
77:     .asciz  "\name"
        .popsection
        .endm

parts:  part    text_mode, "text mode"
        part    cursor, "cursor"
        part    characters, "characters"
        part    scroll, "scroll"
        part    teletype, "teletype"
        part    palette, "palette and font"
        part    mode13, "256 colours"
        part    mode12, "16 colours in planes"
        part    vesa, "VESA mode and banks"
        part    geometry, "disk geometry"
        part    read_chs, "read by cylinder"
        part    read_lba, "read by block"
        part    write_chs, "write by cylinder"
        part    write_lba, "write by block"
        part    beyond, "end of the disk"
        part    memory_map, "memory map"
        part    memory_size, "memory size"
        part    block_move, "block move"
        part    gate, "A20"
        part    ticks, "ticks"
        part    calendar, "calendar"
        part    pci, "PCI"
        part    equipment, "equipment"
        part    keyboard, "keyboard"
        .word   0

greeting:
        .asciz  "REAL-MODE-BEGINS\r\n"
good:   .asciz  "ok: "
bad:    .asciz  "FAILED: "
line:   .asciz  "\r\n"
done:   .ascii  "REAL-MODE-DONE, failed: "
done_count:
        .asciz  "00\r\n"
still_on:
        .asciz  "still on\r\n"
asked:  .ascii  "KEY "
asked_for:
        .asciz  "?\r\n"
got:    .asciz  "GOT "
keys:   .byte   'p'
        .word   0x1970
        .byte   'Q'
        .word   0x1051
        .byte   '1'
        .word   0x3b00
        .byte   '<'
        .word   0x4b00
        .byte   'c'
        .word   0x2e03
        .byte   0

        .balign 4
frame:  .word   0
failures:
        .word   0
heads:  .word   0
sectors:
        .word   0
function:
        .word   0
typed:  .word   0
entries:
        .word   0
        .balign 4
above:  .long   0
end_of_last:
        .long   0
scratch:
        .long   0
packet: .fill   16
extended:
        .fill   32
table:  .fill   16                      /* descriptors for a block move; two are the BIOS's own */
source: .word   0xffff, 0, 0x9300, 0
target: .word   0xffff, 0, 0x9300, 0
        .fill   16

        .section .text.numbers, "ax"
        .set    number, FIRST
        .rept   64
        .fill   128, 4, number
        .set    number, number + 1
        .endr
