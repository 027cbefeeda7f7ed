namespace Hotpot.Graph.Loading;

/// <summary>
/// The graph of Graph500 and of the GAP benchmark: R-MAT with A = 0.57, B = C = 0.19, D = 0.05, 2^scale vertices and edgeFactor as many edges, whose
/// vertices are renumbered at random. Edges that come twice stay. The same scale, factor and seed make the same graph everywhere.
/// </summary>
public static unsafe class Kronecker
{
    // Of 2^32: the quadrant is chosen by 32 random bits for each level.
    private const uint A = (uint)(0.57 * (1L << 32));
    private const uint Ab = (uint)(0.76 * (1L << 32));
    private const uint Abc = (uint)(0.95 * (1L << 32));

    public const int ScaleMax = 30;

    public static EdgeList Generate(int scale, int edgeFactor, ulong seed, uint weightMax = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(scale);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(scale, ScaleMax);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(edgeFactor);
        var vertexCount = 1u << scale;
        var list = new EdgeList(vertexCount, (long)vertexCount * edgeFactor, weightMax > 0);
        var random = new SplitMix64(seed);
        var names = Shuffled(vertexCount, ref random);
        for (long edge = 0; edge < list.EdgeCount; edge++)
        {
            uint from = 0, to = 0;
            for (var level = 0; level < scale; level += 2)
            {
                var bits = random.Next();
                Choose((uint)bits, ref from, ref to);
                if (level + 1 < scale)
                    Choose((uint)(bits >> 32), ref from, ref to);
            }

            list.From[edge] = names[from];
            list.To[edge] = names[to];
            if (weightMax > 0)
                list.Weight[edge] = 1 + (uint)(random.Next() % weightMax);
        }

        return list;
    }

    private static void Choose(uint bits, ref uint from, ref uint to)
    {
        // Without branches: they would be mispredicted about every second time.
        uint b = bits >= A ? 1u : 0, c = bits >= Ab ? 1u : 0, d = bits >= Abc ? 1u : 0;
        from = (from << 1) | c;
        to = (to << 1) | (b ^ c ^ d);
    }

    private static uint[] Shuffled(uint count, ref SplitMix64 random)
    {
        var names = new uint[count];
        for (uint place = 0; place < count; place++)
        {
            var other = (uint)(random.Next() % (place + 1));
            names[place] = names[other];
            names[other] = place;
        }

        return names;
    }

    private struct SplitMix64(ulong state)
    {
        private ulong _state = state;

        public ulong Next()
        {
            var value = _state += 0x9e3779b97f4a7c15;
            value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
            value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
            return value ^ (value >> 31);
        }
    }
}
