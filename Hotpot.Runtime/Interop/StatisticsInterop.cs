using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Hotpot.Runtime.Interop;

internal static unsafe partial class StatisticsInterop
{
    /// <summary>Fills hp_stats, whose layout <see cref="EngineStatistics"/> has.</summary>
    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_engine_stats")]
    public static partial int Engine(EngineHandle engine, EngineStatistics* statistics);

    /// <summary>Fills hp_dataset_stat, whose layout <see cref="DatasetStatistics"/> has.</summary>
    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_dataset_stats")]
    public static partial int Dataset(EngineHandle engine, ulong dataset, DatasetStatistics* statistics);
}
