using System.Globalization;
using Hotpot.Chaos.Node;
using Hotpot.Chaos.Orchestration;
using Hotpot.Histories;

namespace Hotpot.Chaos.Workload;

/// <summary>Moves money between accounts of different owners, and counts it now and then.</summary>
internal sealed class BankClient(ChaosCluster cluster, Recorder recorder, int number, int node, int seed) : ChaosClient(cluster, recorder, number, node, seed)
{
    private const int AuditOneIn = 25;

    public static string KeyOf(int account) => string.Create(CultureInfo.InvariantCulture, $"a{account}");

    protected override Task StepAsync(CancellationToken stopping)
    {
        if (Random.Next(AuditOneIn) == 0)
        {
            return DoAsync(
                Histories.Workload.Bank, Evidence.Commit, grain => grain.AuditAsync(),
                reads => [.. Enumerable.Range(0, Layout.Accounts).Select(account => new Access(AccessKind.Read, KeyOf(account), reads?[account]))], stopping);
        }

        var from = Random.Next(Layout.Accounts);
        var to = (from + Random.Next(1, Layout.Accounts)) % Layout.Accounts;
        var amount = Random.Next(1, 20);
        return DoAsync(
            Histories.Workload.Bank, Evidence.Commit, grain => grain.TransferAsync(from, to, amount),
            _ => [Access.Add(KeyOf(from), -amount), Access.Add(KeyOf(to), amount)], stopping);
    }
}
