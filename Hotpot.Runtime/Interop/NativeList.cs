namespace Hotpot.Runtime.Interop;

/// <summary>
/// Calls that list: the count says how much room there is, and afterwards how much is needed; with too little room the status is
/// HP_E_LIMIT and the list is cut. It may grow between two calls, so they are repeated until the room was enough.
/// </summary>
internal static unsafe class NativeList
{
    // Most transactions touch fewer chunks than this, so one call is enough for them, and nothing but the result is allocated.
    private const int FirstRoom = 16;

    public delegate int Fill<TState, T>(TState state, T* first, uint* count)
        where T : unmanaged;

    /// <param name="state">What <paramref name="fill"/> needs, so that it can be static.</param>
    public static TManaged[] Read<TState, TNative, TManaged>(TState state, Fill<TState, TNative> fill, Converter<TNative, TManaged> convert, string what)
        where TNative : unmanaged
    {
        TNative* few = stackalloc TNative[FirstRoom];
        uint room = FirstRoom;
        uint count = room;
        int status = fill(state, few, &count);
        if (status == (int)HotpotStatus.Ok)
            return Convert(new ReadOnlySpan<TNative>(few, (int)count), convert);
        TNative[] many = [];
        while (status == (int)HotpotStatus.Limit && count > room)
        {
            room = count;
            many = new TNative[room];
            fixed (TNative* first = many)
                status = fill(state, first, &count);
        }
        NativeStatus.Check(status, what);
        return Convert<TNative, TManaged>(many.AsSpan(0, (int)count), convert);
    }

    private static TManaged[] Convert<TNative, TManaged>(ReadOnlySpan<TNative> list, Converter<TNative, TManaged> convert)
    {
        TManaged[] managed = new TManaged[list.Length];
        for (int i = 0; i < managed.Length; i++)
            managed[i] = convert(list[i]);
        return managed;
    }
}
