"""A forward pass changes nothing of a module: threads, replicas, exports, traces and transforms may run one network at once."""

import copy
import io
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from looping import FORMS, X, make_forms
from torch import nn
from torch.func import functional_call, grad, vmap


@pytest.fixture(scope="module")
def all_forms() -> dict[str, nn.Module]:
    return make_forms()


@pytest.fixture(params=FORMS)
def model(request, all_forms) -> nn.Module:
    """A network of the test's own."""
    return copy.deepcopy(all_forms[request.param])


def insides(model: nn.Module) -> dict[str, object]:
    """Everything that a module and its submodules hold, by identity, what is kept from call to call aside."""
    found: dict[str, object] = {}
    for path, module in model.named_modules():
        for key, value in vars(module).items():
            if key in ("_parameters", "_buffers", "_modules"):
                found.update({f"{path}:{key}:{name}": id(held) for name, held in value.items()})
            elif key != "_ready":
                found[f"{path}:{key}"] = id(value)
    return found


def test_the_forms_loop_and_mix_as_they_are_meant_to(all_forms):
    assert len(all_forms["looped"].network.stage1.schedule) == 3
    assert len(all_forms["looped"].network.stage1.blocks) == 2
    assert all_forms["looped"].owners["stage1"].templates is None
    assert all_forms["mixed"].owners["stage1"].templates is not None


@pytest.mark.parametrize("grads", [False, True])
def test_a_pass_leaves_everything_as_it_was(model, grads):
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    seen = []
    model.network.norm.register_forward_hook(lambda *args: seen.append(insides(model)))
    before = insides(model)
    with torch.set_grad_enabled(grads):
        model(X)
        model(X)
    assert seen == [before] * 2  # not even while it runs
    assert insides(model) == before
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.state_dict().items())


def test_a_pass_that_fails_leaves_everything_as_it_was(model):
    model.network.norm.register_forward_hook(lambda *args: 1 / 0)
    before = insides(model)
    with pytest.raises(ZeroDivisionError):
        model(X)
    assert insides(model) == before


@pytest.mark.parametrize("grads", [False, True])
def test_threads_compute_what_one_computes(model, grads):
    inputs = [X * (number + 1) for number in range(8)]
    with torch.set_grad_enabled(grads):
        expected = [model(x).detach() for x in inputs]

    def work(number: int) -> list[torch.Tensor]:
        with torch.set_grad_enabled(grads):
            return [model(inputs[number]).detach() for _ in range(6)]

    pause = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(work, range(8)))
    finally:
        sys.setswitchinterval(pause)
    assert all(torch.equal(one, wanted) for outputs, wanted in zip(found, expected, strict=True) for one in outputs)


def test_export_keeps_every_tensor_a_parameter_and_any_batch(model):
    batch = torch.export.Dim("batch", min=2, max=64)
    exported = torch.export.export(model, (X,), dynamic_shapes=(({0: batch},),), strict=False)
    assert set(exported.state_dict) == set(model.state_dict())
    assert not exported.constants
    x = torch.cat([X, -X])
    torch.testing.assert_close(exported.module()(x), model(x), rtol=1e-5, atol=1e-5)


def test_strict_export_too(all_forms):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch tells what it does with _parameters while it compiles
        exported = torch.export.export(all_forms["looped"], (X,), strict=True)
    torch.testing.assert_close(exported.module()(X), all_forms["looped"](X), rtol=1e-5, atol=1e-5)


def test_a_trace_reads_the_tensors_that_it_is_given_later(model):
    with torch.no_grad():
        model(X)  # so that there is something kept, which a trace may not take over
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*torch.jit.trace", FutureWarning)
            warnings.filterwarnings("ignore", ".*torch.jit.trace", DeprecationWarning)
            traced = torch.jit.trace(model, X)
        torch.testing.assert_close(traced(X), model(X), rtol=1e-3, atol=1e-4)
        for tensor in model.state_dict().values():
            tensor.mul_(1.1) if tensor.is_floating_point() else None
        traced.load_state_dict(model.state_dict())
        torch.testing.assert_close(traced(X), model(X), rtol=1e-3, atol=1e-4)


def test_replicas_of_data_parallel_compute_with_their_own_tensors(model, monkeypatch):
    """Copies are made on the CPU, where torch has no broadcast of its own; all else is torch's."""
    replicate = sys.modules["torch.nn.parallel.replicate"]
    monkeypatch.setattr(replicate, "_get_device_index", lambda device, optional=False: device)
    monkeypatch.setattr(
        replicate,
        "_broadcast_coalesced_reshape",
        lambda tensors, devices, detach=False: (
            [[t * 1 if t.is_floating_point() else t for t in tensors]] * len(devices)
        ),
    )
    with torch.no_grad():
        expected = model(X)
    replica, _ = replicate.replicate(model, [0, 1])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        torch.testing.assert_close(replica(X), expected, rtol=1e-6, atol=1e-6)
    out = replica(X).square().sum()
    out.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_functional_call_transforms_see_other_tensors(model):
    with torch.no_grad():
        expected = model(X)
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    others = {name: tensor * 1.1 for name, tensor in parameters.items()}
    with torch.no_grad():
        changed = functional_call(model, others, (X,))
        assert not torch.allclose(changed, expected)
        assert torch.equal(model(X), expected)
        stacked = {name: torch.stack([tensor, others[name]]) for name, tensor in parameters.items()}
        both = vmap(lambda given: functional_call(model, given, (X,)))(stacked)
    torch.testing.assert_close(both, torch.stack([expected, changed]), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        found = grad(lambda given: functional_call(model, given, (X,)).square().sum())(parameters)
    model(X).square().sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-4)
    with torch.no_grad():
        assert torch.equal(model(X), expected)


def test_transforms_of_the_input_alone_leave_nothing_behind(model):
    with torch.no_grad():
        expected = model(X)
        fresh = copy.deepcopy(model)
        one_by_one = vmap(lambda x: fresh(x[None])[0])(X)
        torch.testing.assert_close(one_by_one, expected, rtol=1e-4, atol=1e-4)
        slope = grad(lambda x: copy.deepcopy(fresh)(x).sum())(X)
        again = copy.deepcopy(model)
        torch.testing.assert_close(grad(lambda x: again(x).sum())(X), slope)
        assert torch.equal(again(X), expected)
        assert torch.equal(fresh(X), expected)


def test_copies_and_saved_states_stand_alone(model):
    with torch.no_grad():
        expected = model(X)
        copied = copy.deepcopy(model)
        for tensor in model.state_dict().values():
            tensor.zero_()
        assert torch.equal(copied(X), expected)
        file = io.BytesIO()
        torch.save(copied.state_dict(), file)
        file.seek(0)
        model.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(model(X), expected)


def test_a_copy_taken_inside_a_compiled_network_compiles_its_own_bodies(all_forms):
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    looped = copy.deepcopy(all_forms["looped"])
    with torch.no_grad():
        expected = looped(X)
        looped.compile_bodies(backend=backend)
        copied = copy.deepcopy(looped)
        torch.testing.assert_close(looped(X), expected)
        for tensor in looped.state_dict().values():
            tensor.zero_()
        looped.train()
        torch.testing.assert_close(copied(X), expected)
    assert graphs
    torch._dynamo.reset()


@pytest.mark.parametrize("name", ["tied", "mixed"])
def test_the_whole_network_compiles(all_forms, name):
    torch._dynamo.reset()
    model = copy.deepcopy(all_forms[name])
    with torch.no_grad():
        expected = model(X)
        compiled = torch.compile(model, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(X), expected, rtol=1e-5, atol=1e-5)
        for tensor in model.state_dict().values():
            tensor.mul_(0.5) if tensor.is_floating_point() else None
        torch.testing.assert_close(compiled(X), model(X), rtol=1e-5, atol=1e-5)
    torch._dynamo.reset()


def test_modes_and_hooks_are_those_of_the_moment(model):
    with torch.no_grad():
        expected = model(X)
        first = next(module for module in model.network.modules() if isinstance(module, nn.BatchNorm2d))
        seen = []
        handle = first.register_forward_hook(lambda module, args, output: seen.append(module.training))
        model(X)
        assert not torch.allclose(model.train()(X), expected)
        handle.remove()
        model.eval()(X)
    assert seen
    assert set(seen) == {False, True}
    assert seen == sorted(seen)
