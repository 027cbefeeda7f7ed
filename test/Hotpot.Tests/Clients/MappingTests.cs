using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Hotpot.Clients;
using Hotpot.Grains;
using Hotpot.Runtime;
using Hotpot.Tests.Runtime;

namespace Hotpot.Tests.Clients;

public sealed class MappingTests : IAsyncLifetime
{
    private readonly EngineFixture _fixture = new();

    // All are written by InitializeAsync only.
    private DatasetDescription _description = null!;
    private FakeNode _node = null!;
    private Dataset _data = null!;

    public Task InitializeAsync()
    {
        Engine engine = _fixture.Start();
        _description = EngineFixture.Describe();
        EngineFixture.OpenOwned(engine, _description);
        _node = new FakeNode(engine);
        _data = new Dataset(_description, Stub<IGrainFactory>.Answering((method, _) => throw new InvalidOperationException(method.Name)), _node);
        return Task.CompletedTask;
    }

    public async Task DisposeAsync() => await _fixture.DisposeAsync();

    [Fact]
    public async Task Stores_through_every_kind_of_access_are_committed()
    {
        using Mapping map = _data.Map();
        StoreOneOfEach(map);
        CommitResult result = await _data.CommitAsync();

        // 10, 20 and 30 are one changed byte each; 0x0102 is two.
        Assert.Equal(5, result.Bytes);
        Assert.Equal((10, 20, 30), (await CommittedAsync(0), await CommittedAsync(4096), await CommittedAsync(8192)));
        Assert.Equal([2, 1], await _data.ReadAsync(12288, 2));

        static unsafe void StoreOneOfEach(Mapping map)
        {
            map.Ref<long>(0) += 10;
            *map.Pointer<int>(4096) = 20;
            map.GetSpan(8192, 100)[0] = 30;
            map.GetSpan<short>(12288, 4)[0] = 0x0102;
        }
    }

    [Fact]
    public void An_address_stored_in_the_dataset_leads_back_to_its_value()
    {
        using Mapping map = _data.Map();
        map.Ref<ulong>(0) = map.AddressOf(5000);
        map.Ref<int>(5000) = 77;
        Assert.Equal(_description.BaseAddress + 5000, map.Ref<ulong>(0));
        Assert.Equal(77, map.At<int>(map.Ref<ulong>(0)));
        Assert.Equal(5000, map.OffsetOf(map.Ref<ulong>(0)));
        Assert.Throws<RangeOutsideDatasetException>(() => map.OffsetOf(_description.BaseAddress - 1));
        Assert.Throws<RangeOutsideDatasetException>(() => map.OffsetOf(_description.BaseAddress + (ulong)_description.Size));
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, -1)]
    [InlineData(64 * 4096, 1)]
    [InlineData(64 * 4096 - 7, 8)]
    [InlineData(63 * 4096 + 1, 4096)]
    [InlineData(63 * 4096 + 2, 4095)]
    [InlineData(0, 64 * 4096 + 1)]
    [InlineData(long.MaxValue, 8)]
    [InlineData(8, long.MaxValue)]
    public void Nothing_outside_the_dataset_is_handed_out(long offset, long length)
    {
        using Mapping map = _data.Map();
        Assert.Throws<RangeOutsideDatasetException>(() => { map.GetSpan(offset, length); });
        Assert.Throws<RangeOutsideDatasetException>(() => { map.GetReadOnlySpan(offset, length); });
        Assert.Throws<RangeOutsideDatasetException>(() => { map.Slices(offset, length); });
        Assert.Throws<RangeOutsideDatasetException>(() => { map.Ref<long>(offset < 0 ? offset : _description.Size - 7); });
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(63 * 4096, 4095)]
    [InlineData(63 * 4096 + 1, 4095)]
    [InlineData(63 * 4096, 4096)]
    [InlineData(64 * 4096 - 1, 1)]
    [InlineData(64 * 4096, 0)]
    [InlineData(0, 64 * 4096)]
    public void Everything_inside_the_dataset_is_handed_out(long offset, long length)
    {
        using Mapping map = _data.Map();
        Assert.Equal((int)length, map.GetSpan(offset, length).Length);
        Assert.Equal((int)length, map.GetReadOnlySpan(offset, length).Length);
        Assert.Equal(_description.BaseAddress + (ulong)offset, Address(map.GetReadOnlySpan(offset, length)));

        static unsafe ulong Address(ReadOnlySpan<byte> span) => (ulong)Unsafe.AsPointer(ref MemoryMarshal.GetReference(span));
    }

    [Fact]
    public void Slices_cover_the_range_once_and_in_order()
    {
        using Mapping map = _data.Map();
        long total = 0;
        byte number = 0;
        foreach (Span<byte> slice in map.Slices(100, 10_000, sliceBytes: 4096))
        {
            slice.Fill(++number);
            total += slice.Length;
        }
        Assert.Equal((10_000L, (byte)3), (total, number));
        Assert.Equal([0, 1, 1, 2, 2, 3, 3, 0], [.. new long[] { 99, 100, 4195, 4196, 8291, 8292, 10_099, 10_100 }.Select(offset => map.ReadOnlyRef<byte>(offset))]);
    }

    [Fact]
    public void A_read_only_mapping_hands_out_nothing_that_can_be_stored_to()
    {
        using Mapping map = _data.Map(MapAccess.ReadOnly);
        Assert.Equal(0, map.ReadOnlyRef<long>(0));
        Assert.Equal(8192, map.GetReadOnlySpan(0, 8192).Length);
        Assert.Throws<InvalidRequestException>(() => { map.Ref<long>(0); });
        Assert.Throws<InvalidRequestException>(() => { map.GetSpan(0, 1); });
        Assert.Throws<InvalidRequestException>(() => { map.Slices(0, 1); });
    }

    [Fact]
    public void A_disposed_mapping_hands_out_nothing()
    {
        Mapping map = _data.Map();
        map.Dispose();
        map.Dispose();
        Assert.Throws<ObjectDisposedException>(() => { map.Ref<long>(0); });
        Assert.Throws<ObjectDisposedException>(() => { map.ReadOnlyRef<long>(0); });
        Assert.Throws<ObjectDisposedException>(() => { map.GetSpan(0, 8); });
        Assert.Throws<ObjectDisposedException>(() => { map.GetReadOnlySpan(0, 8); });
        Assert.Throws<ObjectDisposedException>(() => { map.AddressOf(0); });
    }

    [Fact]
    public async Task Discarded_stores_are_gone_and_a_commit_of_ranges_takes_no_others()
    {
        using Mapping map = _data.Map();
        map.Ref<byte>(0) = 1;
        map.Ref<byte>(4096) = 2;
        map.Ref<byte>(8192) = 3;
        Assert.Equal(1, (await _data.CommitAsync(new ByteRange(4096, 1))).Bytes);
        await _data.DiscardAsync(new ByteRange(0, 1));
        Assert.Equal(0, map.Ref<byte>(0));
        Assert.Equal(1, (await _data.CommitAsync()).Bytes);
        Assert.Equal((0, 2, 3), (await CommittedAsync(0), await CommittedAsync(4096), await CommittedAsync(8192)));
    }

    [Fact]
    public async Task A_commit_without_a_mapping_is_refused() =>
        await Assert.ThrowsAsync<NotMappedException>(() => _data.CommitAsync());

    [Fact]
    public async Task A_consistent_read_holds_a_shared_grant()
    {
        await _data.WriteAsync(10, new byte[] { 1, 2, 3 });
        byte[] bytes = new byte[3];
        await _data.ReadConsistentAsync(10, bytes);
        Assert.Equal([1, 2, 3], bytes);
        Assert.Equal([AcquireMode.Shared], _node.Acquired);
    }

    private async Task<int> CommittedAsync(long offset) => (await _data.ReadAsync(offset, 1))[0];
}
