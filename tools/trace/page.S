/* SPDX-License-Identifier: MIT */
/* The page's parts, each as a string: see html.c.  CMake says where they are. */
        .section .rodata

        .macro part name, file
        .globl \name
        .hidden \name
\name:  .incbin "\file"
        .byte 0
        .endm

        part mv_page_html, page.html
        part mv_page_css, page.css
        part mv_page_js, page.js

        .section .note.GNU-stack, "", %progbits
