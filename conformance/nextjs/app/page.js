export default function Page() { return <p>first</p>; }
