namespace Hotpot.Tests.Grains;

/// <summary>Bounded waiting for what others bring about.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public static async Task UntilAsync(string what, Func<Task<bool>> condition)
    {
        using CancellationTokenSource patience = new(Patience);
        string last = "the condition did not hold";
        while (true)
        {
            try
            {
                if (await condition())
                    return;
            }
            catch (Exception error) when (error is OrleansException or HotpotException or TimeoutException)
            {
                last = $"{error.GetType().Name}: {error.Message}";
            }
            try
            {
                await Task.Delay(20, patience.Token);
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"Waited {Patience} until {what}; {last}.");
            }
        }
    }
}
