# SPDX-License-Identifier: MIT
# bash completion for minivmm

_minivmm()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $previous in
    -m | --memory)
        mapfile -t COMPREPLY < <(compgen -W "64M 128M 256M 512M 1G 2G 4G" -- "$current")
        return
        ;;
    -d | --disk)
        compopt -o nospace
        if [[ $current == *,* ]]; then
            mapfile -t COMPREPLY < <(compgen -P "${current%,*}," -W "ro direct serial= queues= cache=writeback \
                cache=writethrough cache=unsafe io=uring io=threads" -- "${current##*,}")
        else
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
        fi
        return
        ;;
    -c | --cpus)
        mapfile -t COMPREPLY < <(compgen -W "1 2 4 8" -- "$current")
        return
        ;;
    -a | --append)
        mapfile -t COMPREPLY < <(compgen -W "console=ttyS0 quiet panic=-1 root=/dev/ram0 root=/dev/vda" -- "$current")
        return
        ;;
    --trace)
        compopt -o nospace
        if [[ $current == *,* ]]; then
            mapfile -t COMPREPLY < <(compgen -P "${current%,*}," -W "records=" -- "${current##*,}")
        else
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
        fi
        return
        ;;
    esac
    if [[ $COMP_CWORD -eq 1 && -n $current && explain == "$current"* ]]; then
        COMPREPLY=(explain)
        return
    fi
    if [[ $COMP_CWORD -eq 1 && -n $current && trace == "$current"* ]]; then
        COMPREPLY=(trace)
        return
    fi
    if [[ ${COMP_WORDS[1]} == trace && $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "--html --chrome -h --help" -- "$current")
        return
    fi
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "-k --kernel -i --initrd -a --append -m --memory -c --cpus \
            -d --disk --rng --timeline --trace --dump-acpi --dump-dtb --step --gdb -v --verbose -h --help -V --version" -- "$current")
        return
    fi
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
}
complete -F _minivmm minivmm
