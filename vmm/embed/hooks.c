/* SPDX-License-Identifier: MIT */
/* The observer that embed attaches to a vCPU: hooks and hypercalls (minivmm/vcpu.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "embed.h"

static int init(struct mv_vcpu *vcpu, const struct mv_config *config, struct mv_error *err)
{
    size_t bytes = config->hook_count * sizeof(config->hooks[0]);
    struct mv_embedded *embedded = calloc(1, sizeof(*embedded) + bytes);

    if (!embedded)
        return mv_fail(err, -ENOMEM, NULL, NULL, "no memory for a vCPU's hooks");
    vcpu->kept[MV_OBSERVER_EMBED] = embedded;
    embedded->hook_count = config->hook_count;
    if (bytes)
        memcpy(embedded->hooks, config->hooks, bytes);
    for (size_t i = 0; i < config->hook_count; i++)
        embedded->hypercalls |= config->hooks[i].kind == MV_EXIT_HYPERCALL;
    return 0;
}

static void done(struct mv_vcpu *vcpu)
{
    free(mv_embedded(vcpu));
    vcpu->kept[MV_OBSERVER_EMBED] = NULL;
}

static bool wants(const struct mv_hook *hook, const struct mv_exit *exit)
{
    if (hook->kind == MV_EXIT_ANY)
        return true;
    if (hook->kind != exit->kind)
        return false;
    if (exit->kind != MV_EXIT_PORT && exit->kind != MV_EXIT_MMIO)
        return true;
    return exit->access.address >= hook->first && exit->access.address <= hook->last;
}

static bool ask_hooks(struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    const struct mv_embedded *embedded = mv_embedded(vcpu);
    bool served = false;

    if (embedded->hook_count == 0)
        return false;
    pthread_mutex_unlock(&vcpu->use); /* a hook, or a thread that it uses, may inspect the vCPU */
    for (size_t i = 0; i < embedded->hook_count && !served; i++) {
        const struct mv_hook *hook = &embedded->hooks[i];

        served = wants(hook, exit) && hook->fn(hook->context, vcpu, exit);
    }
    pthread_mutex_lock(&vcpu->use);
    return served;
}

/* Turns a write to the hypercall port or address into a hypercall, if they are in use. */
static bool before(struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    enum mv_exit_kind kind;
    bool served;

    if (exit->kind == MV_EXIT_NONE)
        return false;
    if (mv_embedded(vcpu)->hypercalls && mv_is_hypercall(exit)) {
        struct mv_hypercall call = {.number = exit->access.value};

        mv_hypercall_get(vcpu, &call);
        exit->kind = MV_EXIT_HYPERCALL;
        exit->hypercall = call;
    }
    kind = exit->kind;
    served = ask_hooks(vcpu, exit);
    if (exit->kind == MV_EXIT_NONE)
        exit->kind = kind; /* a hook that spoils it does not make the exit an unknown one */
    if (served && exit->kind == MV_EXIT_HYPERCALL)
        mv_hypercall_return(vcpu, exit->hypercall.result);
    return served;
}

const struct mv_observer mv_embed_observer = {.init = init, .done = done, .before = before};
