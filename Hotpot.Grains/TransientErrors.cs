namespace Hotpot.Grains;

/// <summary>Errors that say something about the way to a grain or about the moment, and nothing about the request.</summary>
internal static class TransientErrors
{
    /// <summary>Long enough for a silo's death to be noticed and its grains to be activated elsewhere.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(250);

    /// <summary>The call ended without saying what the other side did with it.</summary>
    public static bool IsLostAnswer(Exception error) =>
        error is OrleansException or TimeoutException or NodeUnavailableException or HotpotTimeoutException or PeerLostException or EngineClosedException;

    /// <summary>The same call may succeed a moment later.</summary>
    public static bool MayPass(Exception error) => IsLostAnswer(error) || error is BusyException;

    /// <summary>Repeats a call that may be repeated, until it says something, or for <see cref="Patience"/>.</summary>
    public static async Task<T> RepeatAsync<T>(Func<Task<T>> call, TimeProvider time, CancellationToken cancellationToken)
    {
        DateTimeOffset end = time.GetUtcNow() + Patience;
        for (TimeSpan pause = FirstPause; ; pause = pause * 2 < LongestPause ? pause * 2 : LongestPause)
        {
            try
            {
                return await call().WaitAsync(cancellationToken);
            }
            catch (Exception error) when (MayPass(error) && time.GetUtcNow() < end)
            {
                System.Diagnostics.Activity.Current?.AddException(error);
            }
            await Task.Delay(pause, time, cancellationToken);
        }
    }
}
