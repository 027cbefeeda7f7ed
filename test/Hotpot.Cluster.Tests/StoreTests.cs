namespace Hotpot.Cluster.Tests;

/// <summary>A record store on several silos, one of which is killed while all of them write and read.</summary>
public sealed class StoreTests : IAsyncLifetime
{
    private const string Name = "records";
    private const int ClientsPerNode = 2;
    private const int KeysPerClient = 12;

    private TestCluster _cluster = null!;

    public async Task InitializeAsync()
    {
        _cluster = await TestCluster.StartAsync(3);
        // Few and small stripes: clients of different nodes meet in them.
        await On(0).CreateAsync(Name, 4 << 20, 1 << 20, degree: 3);
    }

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Fact]
    public async Task WhatWasAcknowledgedIsThereWhenASiloIsKilledInTheMiddle()
    {
        const int victim = 1;
        // Each round kills at another moment of whatever goes on then.
        for (int round = 0; round < 3; round++)
        {
            Client[] clients = [.. Enumerable.Range(0, 3).SelectMany(node => Enumerable.Range(0, ClientsPerNode).Select(i => new Client(this, node, $"{round}-{node}-{i}")))];
            using CancellationTokenSource enough = new();
            Task[] running = [.. clients.Select(client => Task.Run(() => client.RunAsync(victim, enough.Token)))];
            await _cluster.EventuallyAsync(() => Task.FromResult(clients.All(client => client.Acknowledged > 15 + 10 * round)), "every client has written");
            await _cluster.Nodes[victim].KillAsync();
            Client[] surviving = [.. clients.Where(client => client.Node != victim)];
            int[] before = [.. surviving.Select(client => client.Acknowledged)];
            await _cluster.EventuallyAsync(
                () => Task.FromResult(surviving.Zip(before).All(pair => pair.First.Acknowledged > pair.Second + 15) || running.Any(run => run.IsFaulted)),
                "the survivors go on writing");
            await enough.CancelAsync();
            await Task.WhenAll(running);

            Dictionary<string, byte[]> first = await _cluster.RetryAsync(() => On(0).ReadAllAsync(Name), "the store is read");
            AssertAcknowledged(clients, first);
            AssertSame(first, await _cluster.RetryAsync(() => On(2).ReadAllAsync(Name), "the store is read"));
            await _cluster.RestartAsync(victim);
            await _cluster.WaitUntilHealthyAsync(await _cluster.Hotpot.OpenAsync(Name));
            AssertSame(first, await _cluster.RetryAsync(() => On(victim).ReadAllAsync(Name), "the store is read"));
        }

        Dictionary<string, byte[]> last = await On(0).ReadAllAsync(Name);
        await _cluster.RestartAllAsync();
        for (int node = 0; node < 3; node++)
        {
            int asked = node;
            AssertSame(last, await _cluster.RetryAsync(() => On(asked).ReadAllAsync(Name), "the store is read"));
        }
    }

    private IStoreGrain On(int node) => _cluster.Grains.GetGrain<IStoreGrain>(GrainKeys.Node(_cluster.Nodes[node].Id));

    private static void AssertAcknowledged(Client[] clients, Dictionary<string, byte[]> found)
    {
        Assert.All(clients, client => client.AssertIn(found));
        Assert.All(found, record => Client.AssertWhole(record.Value));
    }

    private static void AssertSame(Dictionary<string, byte[]> expected, Dictionary<string, byte[]> found)
    {
        Assert.Equal(expected.Keys.Order(), found.Keys.Order());
        Assert.All(expected, record => Assert.Equal(record.Value, found[record.Key]));
    }

    /// <summary>Writes keys of its own, and some that all write, through one node, and reads its own back through another.</summary>
    private sealed class Client(StoreTests test, int node, string name)
    {
        // Written by RunAsync only: what each key holds, and what it holds instead should the last write have happened. Zero: no record.
        private readonly Dictionary<string, (long Acknowledged, long Attempted)> _own = [];
        private volatile int _acknowledged;

        public int Node => node;

        public int Acknowledged => _acknowledged;

        public async Task RunAsync(int victim, CancellationToken enough)
        {
            Random random = new(HashCode.Combine(name.Length, node, name[^1]));
            int generation = 0;
            for (long version = 1; !enough.IsCancellationRequested; version++)
            {
                string key = $"{name}-{generation}-{random.Next(KeysPerClient)}";
                try
                {
                    await ChangeAsync(key, version, random);
                    await test.On(node).PutAsync(Name, $"shared-{random.Next(3)}", Value(version, random.Next(8, 300)));
                    await ReadBackAsync(key, victim);
                }
                catch (Exception failure) when (IsSilent(failure))
                {
                    // The node has died, or the one through which this client speaks to it. A call whose answer was lost may still be under way, so its key is left alone.
                    if (node == victim)
                        return;
                    generation++;
                }
            }
        }

        private async Task ChangeAsync(string key, long version, Random random)
        {
            long had = _own.GetValueOrDefault(key).Acknowledged;
            bool isDelete = had != 0 && random.Next(4) == 0;
            _own[key] = (had, isDelete ? 0 : version);
            if (isDelete)
                Assert.True(await test.On(node).DeleteAsync(Name, key));
            else
                await test.On(node).PutAsync(Name, key, Value(version, random.Next(10) == 0 ? 9000 : random.Next(8, 1500)));
            _own[key] = (_own[key].Attempted, _own[key].Attempted);
            _acknowledged++;
        }

        public void AssertIn(Dictionary<string, byte[]> found)
        {
            foreach ((string key, (long acknowledged, long attempted)) in _own)
            {
                long version = found.TryGetValue(key, out byte[]? value) ? BitConverter.ToInt64(value) : 0;
                Assert.True(version == acknowledged || version == attempted, $"{key} holds {version}; acknowledged was {acknowledged}, attempted {attempted}.");
            }
        }

        public static void AssertWhole(byte[] value) => Assert.Equal(Value(BitConverter.ToInt64(value), value.Length), value);

        /// <summary>What one node has acknowledged, another shows, unless it is dead.</summary>
        private async Task ReadBackAsync(string key, int victim)
        {
            int other = (node + 1) % 3;
            byte[]? value;
            try
            {
                value = await test.On(other).ReadAsync(Name, key);
            }
            catch (Exception failure) when (other == victim && IsSilent(failure))
            {
                return;
            }
            Assert.Equal(_own[key].Acknowledged, value is null ? 0 : BitConverter.ToInt64(value));
            if (value is not null)
                AssertWhole(value);
        }

        private static bool IsSilent(Exception failure) => failure is OrleansException or TimeoutException or NodeUnavailableException;

        private static byte[] Value(long version, int length)
        {
            byte[] value = new byte[length];
            value.AsSpan().Fill((byte)version);
            BitConverter.TryWriteBytes(value, version);
            return value;
        }
    }
}
