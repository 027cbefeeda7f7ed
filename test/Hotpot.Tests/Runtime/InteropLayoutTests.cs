using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using Hotpot.Runtime;
using Hotpot.Runtime.Interop;

namespace Hotpot.Tests.Runtime;

/// <summary>The managed structures have the sizes and offsets of the header's, and the enumerations its values.</summary>
public sealed class InteropLayoutTests
{
    private static readonly NativeHeader s_header = NativeHeader.Load();

    /// <summary>Every structure of the header, and the managed one that is passed for it.</summary>
    public static TheoryData<string, Type> Structures => new()
    {
        { "hp_error", typeof(HpError) },
        { "hp_config", typeof(HpConfig) },
        { "hp_node_info", typeof(HpNodeInfo) },
        { "hp_completion", typeof(HpCompletion) },
        { "hp_dataset_desc", typeof(HpDatasetDescription) },
        { "hp_chunk_entry", typeof(HpChunkEntry) },
        { "hp_range", typeof(ByteRange) },
        { "hp_txid", typeof(HpTransactionId) },
        { "hp_tx_part", typeof(HpTransactionPart) },
        { "hp_tx_owner", typeof(HpTransactionOwner) },
        { "hp_tx_answer", typeof(HpTransactionAnswer) },
        { "hp_chunk_state", typeof(HpChunkState) },
        { "hp_tx_participant", typeof(HpTransactionParticipant) },
        { "hp_chunk_use", typeof(HpChunkUse) },
        { "hp_stats", typeof(EngineStatistics) },
        { "hp_dataset_stat", typeof(DatasetStatistics) },
    };

    [Theory]
    [MemberData(nameof(Structures))]
    public void Structure_has_the_header_s_layout(string native, Type managed)
    {
        NativeStruct expected = s_header.Structure(native);
        Assert.Equal(expected.Size, SizeOf(managed));

        // hp_stats.reserved is only room, which the managed structure has as its size.
        NativeField[] named = [.. expected.Fields.Where(field => field.Name != "reserved")];
        FieldInfo[] fields = [.. managed
            .GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
            .Where(field => field.Name != "Reserved")
            .OrderBy(field => OffsetOf(managed, field))];
        Assert.Equal(named.Length, fields.Length);
        Assert.All(named.Zip(fields), pair =>
        {
            Assert.Equal(pair.First.Offset, OffsetOf(managed, pair.Second));
            Assert.Equal(pair.First.Size, SizeOf(pair.Second.FieldType));
        });
    }

    [Fact]
    public void Every_structure_of_the_header_is_compared() =>
        Assert.Equal(s_header.StructNames.Order(), Structures.Select(row => (string)row[0]).Order());

    [Theory]
    [InlineData("hp_medium", typeof(Medium))]
    [InlineData("hp_mode", typeof(SharingMode))]
    [InlineData("hp_chunk_phase", typeof(ChunkPhase))]
    [InlineData("hp_outcome", typeof(TransactionOutcome))]
    public void Enumeration_has_the_header_s_values(string native, Type managed) =>
        Assert.Equal(
            s_header.Enumeration(native).Values.Order(), Enum.GetValuesAsUnderlyingType(managed).Cast<int>().Order());

    [Fact]
    public void Status_has_the_header_s_names_and_values()
    {
        Dictionary<string, int> managed = Enum.GetValues<HotpotStatus>()
            .Where(status => (int)status < 100)
            .ToDictionary(status => status.ToString().ToUpperInvariant(), status => (int)status);
        // Two names were made clearer on the managed side.
        Dictionary<string, string> renamed = new()
        {
            ["UFFDDENIED"] = "USERFAULTFDDENIED",
            ["KEY"] = "CLUSTERKEY",
        };
        Dictionary<string, int> native = s_header.Enumeration("hp_status").ToDictionary(
            pair => Name(pair.Key), pair => pair.Value);
        Assert.Equal(native.OrderBy(pair => pair.Value), managed.OrderBy(pair => pair.Value));

        string Name(string constant)
        {
            string name = constant.Replace("HP_E_", "").Replace("HP_", "").Replace("_", "");
            return renamed.GetValueOrDefault(name, name);
        }
    }

    [Fact]
    public void Limits_are_the_header_s()
    {
        Assert.Equal(Limits.PageBytes, s_header.Constant("HP_PAGE_SIZE"));
        Assert.Equal(Limits.MaxDegree, s_header.Constant("HP_MAX_DEGREE"));
        Assert.Equal(Limits.MaxNodes, s_header.Constant("HP_MAX_NODES"));
        Assert.Equal(Limits.MaxTransactionBytes, s_header.Constant("HP_MAX_TX_BYTES"));
        Assert.Equal(Limits.MaxTransactionPages, s_header.Constant("HP_MAX_TX_PAGES"));
        Assert.Equal(Limits.MinFrontBudget, s_header.Constant("HP_MIN_FRONT_BUDGET"));
        Assert.Equal(Limits.MinLogLimit, s_header.Constant("HP_MIN_LOG_LIMIT"));
        Assert.Equal(HpError.MessageBytes, s_header.Constant("HP_MESSAGE_BYTES"));
        Assert.Equal(HpNodeInfo.AddressBytes, s_header.Constant("HP_ADDRESS_BYTES"));
        Assert.Equal(Libhotpot.AbiVersion, (uint)s_header.Constant("HP_ABI_VERSION"));
    }

    // Marshal.OffsetOf speaks of the marshalled form and does not know inline arrays, so the real layout is measured.
    private static int OffsetOf(Type structure, FieldInfo field) =>
        (int)typeof(InteropLayoutTests).GetMethod(nameof(Measure), BindingFlags.NonPublic | BindingFlags.Static)!
            .MakeGenericMethod(structure).Invoke(null, [field])!;

    private static unsafe int Measure<T>(FieldInfo field)
        where T : unmanaged
    {
        DynamicMethod address = new("AddressOfField", typeof(nint), [typeof(nint)], typeof(InteropLayoutTests), skipVisibility: true);
        ILGenerator code = address.GetILGenerator();
        code.Emit(OpCodes.Ldarg_0);
        code.Emit(OpCodes.Ldflda, field);
        code.Emit(OpCodes.Conv_I);
        code.Emit(OpCodes.Ret);
        T value = default;
        nint start = (nint)(&value);
        return (int)(address.CreateDelegate<Func<nint, nint>>()(start) - start);
    }

    private static int SizeOf(Type type) =>
        type.IsPointer ? nint.Size : (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type).Invoke(null, null)!;
}
