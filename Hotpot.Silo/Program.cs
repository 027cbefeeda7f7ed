using Hotpot.Silo;
using Microsoft.Extensions.Options;

// One node of a Hotpot cluster. SIGTERM and Ctrl-C drain it: other replicas take over its chunks, then the log is flushed and
// the store brought up to date. A second signal, or the end of the drain time-out, ends it at once; nothing acknowledged is
// lost by that either, because the log is replayed by the next start.

try
{
    CommandLine commandLine = CommandLine.Parse(args);
    if (commandLine.Help)
    {
        await Console.Out.WriteLineAsync(CommandLine.HelpText);
        return ExitCodes.Stopped;
    }
    return await SiloHost.RunAsync(SiloHost.Build(commandLine));
}
catch (OptionsValidationException failure)
{
    foreach (string sentence in failure.Failures)
        await Console.Error.WriteLineAsync("hotpot: " + sentence);
    return ExitCodes.Usage;
}
catch (Exception failure) when (failure is HotpotException or FormatException or IOException or UnauthorizedAccessException)
{
    // These sentences are for the one who started the silo; a stack would only hide them.
    await Console.Error.WriteLineAsync("hotpot: " + failure.Message);
    return ExitCodes.Of(failure);
}
