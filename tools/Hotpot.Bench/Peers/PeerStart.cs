using Hotpot.Bench.Harness;

namespace Hotpot.Bench.Peers;

/// <summary>Starts what is installed; the report says what is not.</summary>
internal static class PeerStart
{
    /// <summary>Null: it is not installed, and the report says that these cases were skipped.</summary>
    public static async Task<TPeer?> OrSkipAsync<TPeer>(Report report, string cases, Func<Task<TPeer>> start)
        where TPeer : class
    {
        try
        {
            return await start();
        }
        catch (PeerNotInstalledException exception)
        {
            report.Skip(cases, exception.Message);
            return null;
        }
    }
}
