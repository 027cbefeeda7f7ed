using System.Globalization;
using Hotpot.Chaos.Node;
using Hotpot.Chaos.Orchestration;
using Hotpot.Histories;

namespace Hotpot.Chaos.Workload;

/// <summary>Writes and reads registers of a dataset with a single writer, each time under a grant.</summary>
internal sealed class RegisterClient(ChaosCluster cluster, Recorder recorder, int number, int node, int seed) : ChaosClient(cluster, recorder, number, node, seed)
{
    // Clients number their values in ranges of their own, so that every value says who wrote it.
    private const long ValuesOfAClient = 1_000_000_000;

    private long _value;

    public static string KeyOf(int register) => string.Create(CultureInfo.InvariantCulture, $"r{register}");

    protected override Task StepAsync(CancellationToken stopping)
    {
        var register = Random.Next(Layout.RegisterCount);
        if (Random.Next(2) == 0)
        {
            return DoAsync(
                Histories.Workload.Register, Evidence.Grant, grain => grain.ReadRegisterAsync(register),
                reads => [new Access(AccessKind.Read, KeyOf(register), reads?[0])], stopping);
        }

        var value = (Number * ValuesOfAClient) + ++_value;
        return DoAsync(
            Histories.Workload.Register, Evidence.Commit, grain => grain.WriteRegisterAsync(register, value), _ => [Access.Write(KeyOf(register), value)], stopping);
    }
}
