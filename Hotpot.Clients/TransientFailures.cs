using System.Diagnostics;

namespace Hotpot.Clients;

/// <summary>
/// Repeats an idempotent grain call while the cluster is between two memberships: the silo that was asked has just died, and
/// the grain comes up elsewhere within moments.
/// </summary>
internal static class TransientFailures
{
    // 7 waits of 50, 100, 200, 400, 800, 1000, 1000 ms: about 3.5 s, several times the detection of a death on one machine.
    private const int Attempts = 8;
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(1);

    // A call that ended in a time-out of the actor host has taken many seconds itself; it is not worth eight of those.
    private static readonly TimeSpan GiveUpAfter = TimeSpan.FromSeconds(15);

    /// <summary>The one asked is gone, or did not answer; another may.</summary>
    public static bool IsTransient(Exception failure) =>
        failure is OrleansMessageRejectionException or NodeUnavailableException or TimeoutException;

    public static async Task<T> RetryAsync<T>(Func<Task<T>> call, CancellationToken cancellationToken)
    {
        TimeSpan delay = FirstDelay;
        long started = Stopwatch.GetTimestamp();
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return await call().WaitAsync(cancellationToken);
            }
            catch (Exception failure) when (attempt < Attempts && (IsTransient(failure) || failure is BusyException) && Stopwatch.GetElapsedTime(started) < GiveUpAfter)
            {
                await Task.Delay(delay, cancellationToken);
                delay = delay * 2 < LongestDelay ? delay * 2 : LongestDelay;
            }
        }
    }
}
