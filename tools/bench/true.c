/* SPDX-License-Identifier: MIT */
/* The smallest process: what starting and ending anything costs. */
int main(void)
{
    return 0;
}
